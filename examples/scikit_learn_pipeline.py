"""One changed import: a pipeline with a grid search, by scikit-learn's classifier and by fastbp's.

Run ``pip install ".[examples]"``, then ``python examples/scikit_learn_pipeline.py``.
"""

import argparse
import time
from typing import Any

import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import fastbp.sklearn

CLASSIFIERS = {
    "scikit-learn": sklearn.neural_network.MLPClassifier,
    "fastbp": fastbp.sklearn.MLPClassifier,  # in a program: `from fastbp.sklearn import ...`
}
GRID = {
    "mlpclassifier__hidden_layer_sizes": [(50,), (100,)],
    "mlpclassifier__alpha": [1e-4, 1e-2],
}


def search(classifier: Any, X: Any, y: Any, n_jobs: int) -> Any:
    """The grid's best pipeline by three folds; nothing here depends on whose classifier it is."""
    pipeline = make_pipeline(StandardScaler(), classifier(learning_rate_init=0.005, random_state=0))
    return GridSearchCV(pipeline, GRID, cv=3, n_jobs=n_jobs).fit(X, y)


def main() -> None:
    """Search with both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1: one a core")
    jobs = parser.parse_args().jobs
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    # With more threads, products this small take longer, on a busy machine many times.
    threadpool_limits(1)
    # Not timed: processes start, and the first use of fastbp on a machine compiles its kernels.
    search(CLASSIFIERS["fastbp"], X_train, y_train, jobs)
    seconds = {}
    for name, classifier in CLASSIFIERS.items():
        start = time.perf_counter()
        found = search(classifier, X_train, y_train, jobs)
        seconds[name] = time.perf_counter() - start
        print(
            f"{name:12} {found.best_params_}, accuracy {found.best_score_:.4f} in the folds, "
            f"{found.score(X_test, y_test):.4f} on test images, {seconds[name]:.2f} s"
        )
    print(f"scikit-learn / fastbp: {seconds['scikit-learn'] / seconds['fastbp']:.1f}")


if __name__ == "__main__":
    main()
