"""Networks from and to other libraries: PyTorch both ways, ONNX out.

Knows the network as its users do, and what a file holds of it; nothing below knows it. PyTorch and
onnx are imported when a function here needs them, not before.
"""

from fastbp.interchange.onnx_out import to_onnx
from fastbp.interchange.torch_in import from_torch
from fastbp.interchange.torch_out import to_torch

__all__ = ["from_torch", "to_onnx", "to_torch"]
