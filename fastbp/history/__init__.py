"""What a fit leaves written down: quantities by epoch, which are better, and how to go on.

Knows numbers and names; nothing of networks, rows or the loop.
"""

from fastbp.history.history import RATE, History

__all__ = ["RATE", "History"]
