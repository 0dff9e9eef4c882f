"""scikit-learn's own tests of its multi-layer perceptrons, with their import line changed alone."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

# Some of theirs warn; those that are about warnings expect them.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
LEFT_OUT = {
    "test_gradient": "calls _loss_grad_lbfgs, a private method, with arrays of its inside",
}


@pytest.fixture
def global_random_seed():
    return 42


def _source():
    """Their file, or "" where scikit-learn was installed without its tests."""
    package = importlib.util.find_spec("sklearn.neural_network")
    path = Path(package.origin).parent / "tests" / "test_mlp.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


SOURCE = _source()
if not SOURCE:
    pytest.skip("scikit-learn is here without its tests", allow_module_level=True)
CHANGED = SOURCE.replace(THEIRS, THEIRS.replace("sklearn.neural_network", "fastbp.sklearn"))
_before = set(globals())
exec(compile(CHANGED, "test_mlp.py of scikit-learn", "exec"))
COUNT = sum(name.startswith("test_") for name in set(globals()) - _before)
for _name in LEFT_OUT:
    del globals()[_name]


def test_what_ran_was_fastbps():
    assert MLPClassifier.__module__ == "fastbp.sklearn.classifier"  # noqa: F821 - of their file
    assert MLPRegressor.__module__ == "fastbp.sklearn.regressor"  # noqa: F821
    assert COUNT >= 39
