"""fit_many: the fits of many networks, side by side, each on one core."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastbp.fit.progress import wanted
from fastbp.history import History
from fastbp.many.arguments import Each, expect_lengths, expect_own_generators, naming, value_of
from fastbp.many.crew import paying_threads, work_through
from fastbp.many.elsewhere import share_out
from fastbp.many.group import grouped
from fastbp.many.progress import ManyBar
from fastbp.many.sent import Sent, work_of
from fastbp.many.shared_rows import SharedRows
from fastbp.many.task import Options, Task, callbacks_of
from fastbp.network import Network
from fastbp.rows.rows import Targets
from fastbp.validation import flag, outside, positive_int, shown

SOME = 3  # failures that a warning tells


def fit_many(
    networks: Sequence[Network],
    X: ArrayLike | Each,
    y: Targets | Each,
    epochs: int | Each = 1,
    batch_size: int | Each = 32,
    *,
    rows: ArrayLike | Each | None = None,
    shuffle: bool | Each = True,
    validation_data: tuple[Any, ...] | Each | None = None,
    validation_rows: ArrayLike | Each | None = None,
    sample_weight: ArrayLike | Each | None = None,
    class_weight: Any = None,
    mask_nan: bool | Each = False,
    schedule: Any = None,
    metrics: Any = None,
    tol: float | Each | None = None,
    callbacks: Any = (),
    progress: bool | None = None,
    threads: int | None = None,
    workers: Any = None,
) -> list[History]:
    """Fit many networks at once, each as its own `Network.fit` would, to the same bits.

    Each network is trained on one core, and as many at a time as there are threads; those that take
    longest come first. Networks may differ in all they have: shapes, activations, losses,
    optimizers, rates, seeds, dtypes.

    Parameters
    ----------
    networks : sequence of Network
        What is trained, in place; none may be there twice. Those that draw orders of rows each need
        a generator of their own.
    X, y, epochs, batch_size, shuffle, validation_data, sample_weight, class_weight, mask_nan, \
schedule, metrics, tol
        As of `Network.fit`, the same for all networks, or `each` of values for each of them. What
        is the same for all is converted once, and read where it lies.
    rows : (count,) array_like of int or of bool, or `each` of such, optional
        The rows of X, y and `sample_weight` that a network is trained on, as ``X[rows]``, in this
        order: numbers, of which some may come more than once (a bootstrap sample), or a mask. They
        are copied while the network is trained.
    validation_rows : (count,) array_like of int or of bool, or `each` of such, optional
        Rows of the same data to be the `validation_data`.
    callbacks : sequence of Callback, or `each` of such
        As of `Network.fit`. Each network has copies of its own of those that are given for all;
        those that write files are to be given by `each`. They are called on other threads than the
        caller's, several at a time.
    progress : bool, optional
        Show one progress bar, of the epochs of all; None shows one where stderr is a terminal, or
        in a notebook.
    threads : int, optional
        How many networks are trained at a time; None for as many as there are cores to use, or one
        where the networks have so little to do that more would not help. With `workers`, so many
        in each of them; None for each one's share of its machine's cores.
    workers : int, Executor, distributed.Client, joblib.Parallel, "joblib" or "ray", optional
        Who trains, in the place of this process: so many new processes of this machine (a program
        that starts some does so under ``if __name__ == "__main__":``); a
        `concurrent.futures.Executor` of processes, as ``mpi4py.futures`` has one, too; a client of
        Dask; the processes of a ``joblib.Parallel``, or those that ``joblib.parallel_config`` has
        set (loky, dask, ray); Ray. See the notes.

    Returns
    -------
    list of History
        Of each network, in their order; each network's `history`, too. Where a network has failed,
        `History.failure` is the exception that its `fit` would have raised, and the network is as
        it would be then. The others are not concerned; a RuntimeWarning tells how many failed.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        An argument that cannot be used, or one that does not suit a network, which the message
        names by its number, from 0. Nothing has changed.
    KeyboardInterrupt
        Ctrl-C: networks under way have stopped after a whole update, and are as a `fit` leaves
        them; others have been trained, or are as they were. So it is after any exception of a
        signal handler. With `workers`, those that do not tell within some seconds are left to
        themselves, and their networks are as they were.
    MemoryError
        The machine of some `workers` has not the memory for the data once in each of them.

    Notes
    -----
    While it goes on, the networks can be used as during `Network.fit`. All memory but that of
    parameters and optimizer is given back when a network has been trained.

    With `workers` each of them has a share of the networks at a time, and each network comes back
    once its share is whole, with the bits that it would have here; so do its history, its generator
    and its own callbacks (those of `each`). Networks with one generator are refused. Data that
    networks have in common lie in a temporary file, which workers of this machine map; to others
    they are sent once. A map of a file goes by its name to workers that find the same file.

    What a share calls (callbacks, metrics, schedules, functions of your own) are copies, which
    write their files where the worker runs. The share of a worker that was killed is done again by
    another one, calls them again, and counts once. One whose workers end again and again is a
    RuntimeError, when all others are done, and so is an executor that takes no more work. Such
    exceptions have `histories`, with None for networks that are as they were.
    """
    options = Options(
        X,
        y,
        epochs,
        batch_size,
        rows,
        shuffle,
        validation_data,
        validation_rows,
        sample_weight,
        class_weight,
        mask_nan,
        schedule,
        metrics,
        tol,
        callbacks,
    )
    tasks = checked_tasks(networks, options)
    try:
        threads = None if threads is None else positive_int(threads, "threads")
        if progress is not None:
            flag(progress, "progress")
        if workers is None:
            helping = threads or paying_threads([task.operations for task in tasks])
            _run(tasks, helping, wanted(progress))
    finally:
        for task in tasks:
            task.forget()
    if workers is not None:
        fits = [Sent(task) for task in tasks]
        del tasks, task  # with the data as they were converted
        return _sent(fits, options, threads, workers, wanted(progress))
    histories = [task.history for task in tasks if task.history is not None]
    warn_of_failures(histories)
    return histories


def fit_share(
    networks: Sequence[Network],
    *,
    threads: int,
    glance: Callable[[], None],
    **options: Any,
) -> list[History | None]:
    """What a worker does of `fit_many`.

    glance: called again and again by the calling thread; what it raises ends all, and has the
    `histories`.
    """
    tasks = checked_tasks(networks, Options(**options))
    try:
        _run(tasks, threads, False, glance)
    finally:
        for task in tasks:
            task.forget()
    return [task.history for task in tasks]


def _sent(
    fits: Sequence[Sent], options: Options, threads: int | None, workers: Any, shows: bool
) -> list[History]:
    """Have all of them made by workers."""
    what = work_of(fits, options, fit_share)
    bar = ManyBar(fits) if shows else None
    try:
        share_out(what, workers, threads, None if bar is None else bar.show)
    except BaseException as error:
        error.histories = [fit.history for fit in fits]  # type: ignore[attr-defined]
        raise
    finally:
        if bar is not None:
            bar.close()
    histories = [fit.history for fit in fits if fit.history is not None]
    warn_of_failures(histories)
    return histories


def checked_tasks(networks: Sequence[Network], options: Options) -> list[Task]:
    """Check the arguments for each network; nothing has changed where one cannot be used."""
    expect_networks(networks)
    expect_lengths(len(networks), **options._asdict())
    options = options._replace(callbacks=callbacks_of(options.callbacks, len(networks)))
    shared, tasks = SharedRows([network._core.engine.state for network in networks]), []
    try:
        for number, network in enumerate(networks):
            own = Options(*(value_of(argument, number) for argument in options))
            with naming(number):
                tasks.append(Task(network, own, shared))
        expect_own_generators([task.generator for task in tasks])
    except BaseException:
        for task in tasks:
            task.forget()
        raise
    return tasks


def expect_networks(networks: Any) -> None:
    """Raise where these are not networks, or one is there twice."""
    if not isinstance(networks, Sequence) or isinstance(networks, str):
        raise TypeError(f"networks must be a sequence of fastbp.Network; got {shown(networks)}")
    if not networks:
        raise ValueError("networks is empty")
    seen: dict[int, int] = {}
    for number, network in enumerate(networks):
        if not isinstance(network, Network):
            raise TypeError(f"networks[{number}] must be a fastbp.Network; got {shown(network)}")
        first = seen.setdefault(id(network), number)
        if first != number:
            raise ValueError(
                f"networks[{number}] is the same network as networks[{first}]; "
                "copy.deepcopy makes another one"
            )


def _run(
    tasks: Sequence[Task], threads: int, shows: bool, glance: Callable[[], None] | None = None
) -> None:
    """Train all, the longest first; glance: as `work_through` takes it."""
    bar = ManyBar(tasks) if shows else None
    jobs = sorted(grouped(tasks), key=lambda job: job.operations, reverse=True)
    try:
        work_through([job.run for job in jobs], threads, glance if bar is None else bar.show)
    except BaseException as error:
        error.histories = [task.history for task in tasks]  # type: ignore[attr-defined]
        raise
    finally:
        if bar is not None:
            bar.show()
            bar.close()


def warn_of_failures(histories: Sequence[History]) -> None:
    """Tell how many have failed, if any did."""
    failed = [number for number, history in enumerate(histories) if history.failure is not None]
    if failed:
        told = "; ".join(
            f"network {number}: {type(histories[number].failure).__name__}: "
            f"{histories[number].failure}"
            for number in failed[:SOME]
        )
        more = f"; and {len(failed) - SOME} more" if len(failed) > SOME else ""
        warnings.warn(
            f"{len(failed)} of {len(histories)} networks failed, see History.failure: {told}{more}",
            RuntimeWarning,
            stacklevel=outside(),
        )
