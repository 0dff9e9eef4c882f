"""Warnings as scikit-learn gives them, that point at the line of the user."""

import sys
import warnings

OWN = ("fastbp", "sklearn")  # packages whose lines are not the user's
MODULE = "sklearn.neural_network._multilayer_perceptron"  # which filters of users name


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as scikit-learn's module, of the innermost line that is neither its nor fastbp's."""
    frame = sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in OWN:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        message, category, frame.f_code.co_filename, frame.f_lineno, MODULE, registry
    )
