"""Scalar functions of a user's, and whether one can raise an exception, which a kernel would lose.

A compiled function of Numba's takes, before its arguments, a place for its result and one for an
exception (`excinfo`). LLVM removes branches that cannot be taken; where a store of an exception is
left, in the function or in what it calls, it can raise. What is handed on from a call is judged
there, and running out of memory is not counted.
"""

from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.registry import CPUDispatcher

from fastbp.kernels.machine.jit import FLAGS, inline

EXCINFO = 1  # the argument's place
NOTHING = ("null", "undef", "poison")
# Its code for arrays checks shapes, which scalars have not.
HARMLESS = "ov_np_where"


def scalar(function: Callable[..., Any]) -> Any:
    """The function as panels call it."""
    return function if isinstance(function, CPUDispatcher) else inline(function)


def refuse_raising(
    owner: str, functions: Mapping[str, Callable[..., Any]], dtype: Any, arguments: int = 1
) -> None:
    """Raise ValueError where an exception could be lost in a panel, and a wrong number with it.

    owner, functions: for the message, the functions by what their parameters are called.
    """
    for called, function in functions.items():
        if can_raise(function, dtype, arguments):
            raise ValueError(
                f"{called} of {owner} can raise an exception for some {dtype}, which a compiled "
                "network cannot pass on: use no raise, assert or index that may be out of range "
                "in it; return nan instead, choose with `a if c else b` or numpy.where, write "
                "1 / z for z ** -1"
            )


def can_raise(function: Callable[..., Any], dtype: Any, arguments: int = 1) -> bool:
    """Whether a function of so many numbers of `dtype` can; an index out of range counts."""
    options, plain = FLAGS, function
    if isinstance(function, CPUDispatcher):
        # What a function does not say of itself it inherits from the kernel that calls it.
        options, plain = {**FLAGS, **function.targetoptions}, function.py_func
        options.pop("nopython", None)
    checked = numba.njit(**{**options, "boundscheck": True})(plain)

    # A function of so many numbers, with the defaults of the other filled in.
    given, names = ", ".join(f"x{i}" for i in range(arguments)), {"checked": checked}
    exec(f"def called({given}): return checked({given})", names)
    called = numba.njit(**FLAGS)(names["called"])
    called.compile((numba.from_dtype(np.dtype(dtype)),) * arguments)
    (compiled,) = called.overloads.values()
    with llvm.parse_assembly(compiled.library.get_llvm_str()) as module:
        return _can_raise(module.get_function(compiled.fndesc.llvm_func_name), module, set())


def _can_raise(function: Any, module: Any, seen: set[str]) -> bool:
    seen.add(function.name)
    place = list(function.arguments)[EXCINFO].name
    for block in function.blocks:
        for instruction in block.instructions:
            operands = list(instruction.operands)
            if instruction.opcode == "store" and operands[1].name == place:
                if _is_exception(operands[0], module):
                    return True
            elif instruction.opcode == "call":
                # The operands are the arguments, then what is called.
                name = operands[-1].name
                if (
                    name in seen
                    or HARMLESS in name
                    or len(operands) < 3
                    or "excinfo" not in operands[EXCINFO].name
                ):
                    continue
                callee = next((one for one in module.functions if one.name == name), None)
                if callee is None or callee.is_declaration or _can_raise(callee, module, seen):
                    return True
    return False


def _is_exception(value: Any, module: Any) -> bool:
    """Whether a value stored as an exception is one that begins here."""
    text = str(value)
    if " = load " in text or text.endswith(NOTHING):
        return False
    # ".const.picklebuf.", a hash, and a number where there are several
    data = ".".join(value.name.split(".")[:4]).replace("picklebuf", "pickledata")
    pickled = (one for one in module.global_variables if one.name.startswith(data))
    return not (data and any("MemoryError" in str(one) for one in pickled))
