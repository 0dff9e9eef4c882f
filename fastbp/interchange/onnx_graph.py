"""A graph of ONNX while it is made: nodes in their order, constants, a name for each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

# The first with Gelu, and what the oldest onnxruntime that has it reads.
OPSET, IR_VERSION = 20, 9


class Graph:
    """Nodes and constants.

    Parameters
    ----------
    dtype : dtype
        Of the numbers that nodes are given.
    taken : sequence of str
        Names that the user has chosen.
    """

    def __init__(self, dtype: np.dtype[Any], taken: Sequence[str]) -> None:
        self.dtype = dtype
        self.scope = ""  # what names begin with; ONNX wants all names to be identifiers of C
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._taken = set(taken)
        self._numbers: dict[float, str] = {}

    def _name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name

    def constant(self, values: NDArray[Any], wanted: str) -> str:
        """The name of an array that goes into the file."""
        name = self._name(wanted)
        self.initializers.append(onnx.numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def operands(self, inputs: Sequence[str | float]) -> list[str]:
        """Names of values; numbers become constants, one of each."""
        names = []
        for one in inputs:
            if not isinstance(one, str):
                if one not in self._numbers:
                    name = f"number_{len(self._numbers) + 1}"
                    self._numbers[one] = self.constant(np.array(one, self.dtype), name)
                one = self._numbers[one]
            names.append(one)
        return names

    def several(
        self, operator: str, inputs: Sequence[str | float], outputs: int, **how: Any
    ) -> Any:
        """The names of what an operator makes of values and numbers."""
        names = [self._name(f"{self.scope}{operator}") for _ in range(outputs)]
        node = onnx.helper.make_node(operator, self.operands(inputs), names, names[0], **how)
        self.nodes.append(node)
        return names

    def node(self, operator: str, *inputs: str | float, **how: Any) -> str:
        """The name of the one value that an operator makes."""
        name: str = self.several(operator, inputs, 1, **how)[0]
        return name

    def rename(self, value: str, name: str) -> None:
        """Call a value that no node reads as the user wants it."""
        for node in self.nodes:
            node.output[:] = [name if one == value else one for one in node.output]
