"""The records that a kernel reads, as ctypes: their fields are much quicker to set than NumPy's."""

import ctypes
from typing import Any

import numpy as np

from fastbp.kernels import program


def _fields(record: np.dtype[Any]) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_int64) for name in record.names or ()]


class Program(ctypes.Structure):
    """`kernels.program.PROGRAM`."""

    __slots__ = ()  # a field that does not exist is an error
    _fields_ = _fields(program.PROGRAM)


class Layer(ctypes.Structure):
    """`kernels.program.LAYER`."""

    __slots__ = ()
    _fields_ = _fields(program.LAYER)


class Plan:
    """One kind of call: the program and the records of the layers, which it points to.

    Parameters
    ----------
    layers : int
        How many layers the network has.

    Attributes
    ----------
    program : Program
    layers : ctypes array of Layer
    address : int
        The program's.
    """

    def __init__(self, layers: int) -> None:
        self.program, self.layers = Program(), (Layer * layers)()
        self.address = ctypes.addressof(self.program)
        self.program.layers, self.program.layer_count = ctypes.addressof(self.layers), layers
