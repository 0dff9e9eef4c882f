"""predict_many and evaluate_many: many networks used at once, each on one core."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from fastbp.engine.prediction import predict_checked
from fastbp.engine.watch import Watch
from fastbp.fit.evaluation import Evaluation
from fastbp.many.arguments import Each, expect_lengths, naming, value_of
from fastbp.many.crew import paying_threads, work_through
from fastbp.many.elsewhere import share_out
from fastbp.many.fitting import expect_networks
from fastbp.many.sending import Work
from fastbp.many.sent import copied
from fastbp.many.shared_rows import SharedRows, Which, checked_which, count
from fastbp.network import Network
from fastbp.network.core import Core
from fastbp.rows.rows import Features, Targets
from fastbp.tasks import Tasks
from fastbp.validation import positive_int

Use = Callable[[], Any]
Prepare = Callable[[Core, SharedRows, dict[str, Any]], Use]


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
        As of `fit_many`.
    workers : optional
        Who does it in the place of this process, as of `fit_many`.

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
    return _used(networks, _predicting, {"X": X, "rows": rows}, threads, workers)


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
    networks, X, rows, threads, workers
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
    arguments = {
        "X": X,
        "y": y,
        "rows": rows,
        "sample_weight": sample_weight,
        "class_weight": class_weight,
        "mask_nan": mask_nan,
        "metrics": metrics,
    }
    return _used(networks, _evaluating, arguments, threads, workers)


def _predicting(core: Core, shared: SharedRows, own: dict[str, Any]) -> Use:
    """Check the arguments of one network's prediction; returns what predicts."""
    core.known_scaling()
    features = shared.features(core, own["X"], _which(own["rows"], own["X"]))
    return partial(_outputs, core, features)


def _evaluating(core: Core, shared: SharedRows, own: dict[str, Any]) -> Use:
    """Check the arguments of one network's evaluation; returns what evaluates."""
    measures, which = own.pop("metrics"), _which(own.pop("rows"), own["X"])
    core.known_scaling()
    found = shared.rows(core, **own, which=which)
    return Evaluation(core.engine, core.loss, found, "", measures).measure


def _which(chosen: Any, X: Any) -> Which | None:
    return None if chosen is None else checked_which(chosen, count(X), "rows")


def _outputs(core: Core, features: Features) -> Any:
    turns = core.engine.turns
    with turns.reading, turns.lock:
        turns.served()
        outputs = predict_checked(core.engine, features)
    return core.loss.split(outputs) if isinstance(core.loss, Tasks) else outputs


def _used(
    networks: Sequence[Network],
    prepare: Prepare,
    arguments: dict[str, Any],
    threads: int | None,
    workers: Any,
) -> list[Any]:
    """What each network gives; prepare: checks the arguments of one network."""
    expect_networks(networks)
    expect_lengths(len(networks), **arguments)
    threads = None if threads is None else positive_int(threads, "threads")
    if workers is None:
        return _used_here(networks, prepare, arguments, threads)
    shared = _shared(networks)
    for number in range(len(networks)):
        _prepared(networks, number, prepare, arguments, shared)
    found: list[Any] = [None] * len(networks)
    cores = [network._core for network in networks]
    what = Work(
        partial(_used_share, prepare),
        networks,
        arguments,
        _operations(networks, arguments),
        False,
        found.__setitem__,
        found.__setitem__,
        copied(cores, arguments["X"]),
    )
    share_out(what, workers, threads)
    return found


def _operations(networks: Sequence[Network], arguments: dict[str, Any]) -> list[float]:
    """About how many there are for each network."""
    sizes = [network._core.configuration.layout.parameters for network in networks]
    lengths = [_count(arguments, number) for number in range(len(networks))]
    return [2.0 * size * length for size, length in zip(sizes, lengths, strict=True)]


def _count(arguments: dict[str, Any], number: int) -> int:
    """How many rows a network has."""
    chosen = value_of(arguments["rows"], number)
    return count(value_of(arguments["X"], number) if chosen is None else chosen)


def _shared(networks: Sequence[Network]) -> SharedRows:
    return SharedRows([network._core.engine.state for network in networks])


def _used_share(
    prepare: Prepare,
    networks: Sequence[Network],
    *,
    threads: int,
    glance: Callable[[], None],
    **arguments: Any,
) -> list[Any]:
    """What a worker does; glance: called again and again by the calling thread."""
    return _used_here(networks, prepare, arguments, threads, glance)


def _used_here(
    networks: Sequence[Network],
    prepare: Prepare,
    arguments: dict[str, Any],
    threads: int | None,
    glance: Callable[[], None] | None = None,
) -> list[Any]:
    """What each network gives, on threads of the pool; None for as many as help."""
    shared, rows = _shared(networks), arguments["rows"]
    uses: list[Use | None] = []
    for number in range(len(networks)):
        use = _prepared(networks, number, prepare, arguments, shared)
        # Some rows are copied for their network alone: not for all of them at once.
        uses.append(use if value_of(rows, number) is None else None)
    found: list[Any] = [None] * len(networks)

    def job(number: int, watch: Watch) -> None:
        engine = networks[number]._core.engine
        kept, uses[number] = uses[number], None
        use = kept or _prepared(networks, number, prepare, arguments, shared)
        has_room = engine.has_room
        try:
            with engine.watched(watch):
                found[number] = use()
        finally:
            if not has_room:
                engine.release()

    helping = threads or paying_threads(_operations(networks, arguments))
    work_through([partial(job, number) for number in range(len(networks))], helping, glance)
    return found


def _prepared(
    networks: Sequence[Network],
    number: int,
    prepare: Prepare,
    arguments: dict[str, Any],
    shared: SharedRows,
) -> Use:
    own = {name: value_of(argument, number) for name, argument in arguments.items()}
    with naming(number):
        return prepare(networks[number]._core, shared, own)
