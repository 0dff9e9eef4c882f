"""Warnings that point at the line of the user that has called an estimator."""

import sys
import warnings

OWN = ("fastbp", "sklearn")  # packages whose lines are not the user's


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the innermost line that is neither fastbp's nor scikit-learn's."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in OWN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
