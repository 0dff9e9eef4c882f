"""scikit-learn's multi-layer perceptrons, trained by fastbp: change one import.

``from fastbp.sklearn import MLPClassifier, MLPRegressor`` in place of ``sklearn.neural_network``'s;
and ensembles of them, whose estimators are trained side by side.
The only room whose import needs scikit-learn. What is trained is a `fastbp.Network`, by the loop of
`fit/` with other orders, rates and ends.
"""

try:
    import sklearn  # noqa: F401 - to say by which extra it comes
except ModuleNotFoundError as error:  # pragma: no cover - of an environment without it
    raise ModuleNotFoundError(
        'fastbp.sklearn needs scikit-learn: pip install "fastbp[sklearn]"', name=error.name
    ) from error

from fastbp.sklearn.classifier import MLPClassifier
from fastbp.sklearn.ensemble_classifier import MLPEnsembleClassifier
from fastbp.sklearn.ensemble_regressor import MLPEnsembleRegressor
from fastbp.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPEnsembleClassifier", "MLPEnsembleRegressor", "MLPRegressor"]
