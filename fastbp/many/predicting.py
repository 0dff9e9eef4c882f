"""predict_many and evaluate_many: many networks used at once, each on one core."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from fastbp.engine.prediction import predict_checked
from fastbp.engine.watch import Watch
from fastbp.fit.evaluation import Evaluation
from fastbp.kernels.machine.cores import available_cores
from fastbp.many.arguments import Each, expect_lengths, value_of
from fastbp.many.crew import work_through
from fastbp.many.fitting import expect_networks, naming
from fastbp.many.shared_rows import SharedRows, Which, checked_which, count
from fastbp.network import Network
from fastbp.network.core import Core
from fastbp.rows.rows import Features, Targets
from fastbp.tasks import Tasks
from fastbp.validation import positive_int

Use = Callable[[], Any]


def predict_many(
    networks: Sequence[Network],
    X: ArrayLike | Each,
    *,
    rows: ArrayLike | Each | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> list[Any]:
    """The outputs of many networks, each as its own `Network.predict` gives them.

    Parameters
    ----------
    networks : sequence of Network
        None may be there twice.
    X : (rows, inputs) array_like or sparse, or `each` of such
        As of `Network.predict`. What is the same for all is converted once.
    rows : (count,) array_like of int or of bool, or `each` of such, optional
        Which rows of X; see `fit_many`.
    threads : int, optional
        How many networks are at work at a time; None for as many as there are cores to use.

    Returns
    -------
    list
        What `Network.predict` returns, for each network.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        An argument that cannot be used, or one that does not suit a network, which the message
        names by its number.
    """
    if workers is not None:
        raise NotImplementedError("workers: being written")
    expect_networks(networks)
    expect_lengths(len(networks), X=X, rows=rows)
    shared = _shared(networks)

    def prepared(number: int) -> Use:
        core, own = networks[number]._core, value_of(X, number)
        core.known_scaling()
        features = shared.features(core, own, _which(value_of(rows, number), own))
        return lambda: _outputs(core, features)

    return _used(networks, prepared, rows, threads)


def evaluate_many(
    networks: Sequence[Network],
    X: ArrayLike | Each,
    y: Targets | Each,
    *,
    rows: ArrayLike | Each | None = None,
    sample_weight: ArrayLike | Each | None = None,
    class_weight: Any = None,
    mask_nan: bool | Each = False,
    metrics: Any = None,
    threads: int | None = None,
    workers: Any = None,
) -> list[dict[str, float]]:
    """Losses, accuracies and metrics of many networks, as their `Network.evaluate` gives them.

    Parameters
    ----------
    networks, X, rows, threads
        As of `predict_many`.
    y, sample_weight, class_weight, mask_nan, metrics
        As of `Network.evaluate`, the same for all networks, or `each` of values for each of them.

    Returns
    -------
    list of dict
        What `Network.evaluate` returns, for each network.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As of `predict_many`.
    """
    if workers is not None:
        raise NotImplementedError("workers: being written")
    expect_networks(networks)
    arguments = {
        "X": X,
        "y": y,
        "rows": rows,
        "sample_weight": sample_weight,
        "class_weight": class_weight,
        "mask_nan": mask_nan,
        "metrics": metrics,
    }
    expect_lengths(len(networks), **arguments)
    shared = _shared(networks)

    def prepared(number: int) -> Use:
        core = networks[number]._core
        own = {name: value_of(argument, number) for name, argument in arguments.items()}
        measures, which = own.pop("metrics"), _which(own.pop("rows"), own["X"])
        core.known_scaling()
        found = shared.rows(core, **own, which=which)
        return Evaluation(core.engine, core.loss, found, "", measures).measure

    return _used(networks, prepared, rows, threads)


def _shared(networks: Sequence[Network]) -> SharedRows:
    return SharedRows([network._core.engine.state for network in networks])


def _which(chosen: Any, X: Any) -> Which | None:
    return None if chosen is None else checked_which(chosen, count(X), "rows")


def _outputs(core: Core, features: Features) -> Any:
    turns = core.engine.turns
    with turns.reading, turns.lock:
        turns.served()
        outputs = predict_checked(core.engine, features)
    return core.loss.split(outputs) if isinstance(core.loss, Tasks) else outputs


def _used(
    networks: Sequence[Network], prepared: Callable[[int], Use], rows: Any, threads: int | None
) -> list[Any]:
    """What each network gives, on threads of the pool.

    prepared: checks the arguments for a network, by its number; rows: as `predict_many` takes them.
    """
    threads = available_cores() if threads is None else positive_int(threads, "threads")
    uses: list[Use | None] = []
    for number in range(len(networks)):
        with naming(number):
            use = prepared(number)
        # Some rows are copied for their network alone: not for all of them at once.
        uses.append(use if value_of(rows, number) is None else None)
    found: list[Any] = [None] * len(networks)

    def job(number: int, watch: Watch) -> None:
        engine = networks[number]._core.engine
        use, uses[number] = uses[number] or prepared(number), None
        try:
            with engine.watched(watch):
                found[number] = use()
        finally:
            engine.release()

    work_through([partial(job, number) for number in range(len(networks))], threads)
    return found
