"""The object that users hold, the checks of what they pass to it, and its files.

Knows everything below and nothing of who uses it; nothing below knows it.
"""

from fastbp.network.inference import Gradients
from fastbp.network.network import Network
from fastbp.network.vector import minimize

__all__ = ["Gradients", "Network", "minimize"]
