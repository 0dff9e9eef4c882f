"""Loops over elements in the processor's widest registers, also where LLVM prefers half of them.

LLVM's tuning for Intel's servers makes loops of 256-bit vectors where registers have 512, lest a
few wide instructions slow down a program's other code. Kernels are full of wide instructions, and
their products are written in them. The preference is one of the processor that Numba compiles for,
in the whole process; an attribute of a function overrides it for that function alone.
"""

from llvmlite.ir.values import FunctionAttributes
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

from fastbp.kernels.machine.vectors import LINE

_WIDEST = f'"prefer-vector-width"="{8 * LINE}"'  # narrower registers are taken where these lack


class _Attributes(FunctionAttributes):
    _known = FunctionAttributes._known | {_WIDEST}  # llvmlite refuses what it does not know


class _Lower(Lower):
    def setup_function(self, fndesc):
        super().setup_function(fndesc)
        self.function.attributes = _Attributes([*self.function.attributes, _WIDEST])


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    _name = "fastbp_lowering"

    @property
    def lowering_class(self):
        return _Lower


class FullRegisters(CompilerBase):
    """Numba's compiler of nopython functions, whose loops take the widest registers."""

    def define_pipelines(self):
        """Its passes, with another one for `NativeLowering`."""
        manager = PassManager("nopython")
        for made, told in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            manager.add_pass(_Lowering if made is NativeLowering else made, told)
        manager.finalize()
        return [manager]
