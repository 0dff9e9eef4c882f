"""Estimators in joblib's workers, and in threads: no more threads than cores, and no hang."""

import threading

import numpy as np
import pytest
from perceptrons import LABELS, NAMES, X, classifier

pytest.importorskip("sklearn")
import joblib
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp.sklearn.threads import budget

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def threads_of_a_fit(_number):
    """What a fit may use where this runs, and what its network does use."""
    model = classifier().fit(X, LABELS)
    return budget(None), model.network_._core.engine.threads, budget(3)


def test_threads_of_workers():
    """Together they have no more than there are cores; what the user asks for, he gets."""
    assert threads_of_a_fit(0)[0] is None
    share = max(1, joblib.cpu_count() // 2)
    for backend, granted in (("loky", share), ("threading", 1), ("sequential", None)):
        run = joblib.Parallel(n_jobs=2, backend=backend)
        for found, used, asked in run(joblib.delayed(threads_of_a_fit)(i) for i in range(2)):
            assert found == granted, backend
            assert used == found, backend
            assert asked == 3
    assert budget(None) is None


def test_threads_of_worker_threads_where_numbas_are_set(monkeypatch):
    """By the user, not by joblib for a process of its own."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    run = joblib.Parallel(n_jobs=2, backend="threading")
    assert run(joblib.delayed(budget)(None) for _ in range(2)) == [1, 1]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search_with_workers(backend):
    grid = {"mlp__alpha": [0.1, 10.0], "mlp__hidden_layer_sizes": [(5,), (6, 4)]}
    scores = []
    for workers in (1, 2):
        pipeline = make_pipeline(StandardScaler(), classifier(max_iter=20))
        pipeline.steps[1] = ("mlp", pipeline.steps[1][1])
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=workers)
        with joblib.parallel_config(backend=backend):
            search.fit(X, NAMES)
        scores.append(search.cv_results_["mean_test_score"])
        assert search.best_estimator_["mlp"].network_._core.engine.threads is None
    np.testing.assert_array_equal(*scores)


def test_permutation_importance_with_workers():
    model = classifier(max_iter=60).fit(X, NAMES)
    found = [
        permutation_importance(model, X, NAMES, n_repeats=2, random_state=0, n_jobs=workers)
        for workers in (1, 2)
    ]
    np.testing.assert_array_equal(found[0].importances, found[1].importances)
    assert found[0].importances.max() > 0


def test_one_model_predicts_in_several_threads():
    model, results = classifier(max_iter=20).fit(X, NAMES), []
    expected = model.predict_proba(X)

    def work():
        results.extend(np.array_equal(model.predict_proba(X), expected) for _ in range(20))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [True] * 80
