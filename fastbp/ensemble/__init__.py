"""Ensembles: networks that are trained side by side and answer together, and their files.

It stands on `many` and `Network`; neither knows of it.
"""

from fastbp.ensemble.ensemble import Ensemble

__all__ = ["Ensemble"]
