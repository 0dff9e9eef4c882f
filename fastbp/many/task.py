"""Task: the fit of one network among many, checked before any of them begins."""

import copy
import traceback
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from fastbp.callbacks.base import Callback, checked_callbacks
from fastbp.data.scaling import STANDARD
from fastbp.engine import lanes
from fastbp.engine.lane_group import width
from fastbp.engine.watch import Watch
from fastbp.fit import fitting
from fastbp.fit.row_fit import RowFit
from fastbp.history import History
from fastbp.losses import RowLoss
from fastbp.many.arguments import Each, naming
from fastbp.many.shared_rows import SharedRows, Which, checked_which, count
from fastbp.network import Network
from fastbp.network.fits import prepared
from fastbp.network.learned import learning
from fastbp.rows.rows import Rows


class Options(NamedTuple):
    """The arguments of `fit_many` as they are for one network."""

    X: Any
    y: Any
    epochs: Any
    batch_size: Any
    rows: Any
    shuffle: Any
    validation_data: Any
    validation_rows: Any
    sample_weight: Any
    class_weight: Any
    mask_nan: Any
    schedule: Any
    metrics: Any
    tol: Any
    callbacks: Any


class Task:
    """The fit of one network.

    Parameters
    ----------
    network : Network
        What is trained.
    options : Options
        How; the callbacks are the network's own.
    shared : SharedRows
        What converts its data.

    Attributes
    ----------
    history : History or None
        What was recorded, once the fit has begun.
    ended : bool
        Whether it has come to its end.
    epochs, operations : int
        How many epochs there are to be, and about how many operations.
    quantities : tuple of str
        What is recorded of each epoch.
    generator : numpy.random.BitGenerator or None
        What draws the orders of the rows, if they are drawn.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        Arguments that cannot be used; nothing has changed.
    """

    def __init__(self, network: Network, options: Options, shared: SharedRows) -> None:
        self.network, self.options, self._shared = network, options, shared
        self.history: History | None = None
        self.ended = False
        self._core = network._core
        self._rows: Which | None = None
        self._validation_rows: Which | None = None
        self._fit: RowFit | None = None
        self._learning: AbstractContextManager[None] | None = None
        turns = self._core.engine.turns
        with turns.fit_changing:
            try:
                self._check()
            except BaseException:
                self.forget()
                raise

    def _check(self) -> None:
        core, options = self._core, self.options
        if options.validation_rows is not None and options.validation_data is not None:
            raise ValueError("validation_data and validation_rows were both given")
        if options.rows is not None:
            self._rows = checked_which(options.rows, count(options.X), "rows")
        if options.validation_rows is not None:
            self._validation_rows = checked_which(
                options.validation_rows, count(options.X), "validation_rows"
            )
        trained_on = options.X
        if core.configuration.scaling == STANDARD and core.engine.scaling is None:
            trained_on = self._shared.scaling(core, options.X, self._rows)
        learner = learning(core, options.X, trained_on, self._validation_data)
        learner.__enter__()
        self._learning = learner
        fit = self._prepared()
        for callback in fit.callbacks:
            fit.expect_watched(callback.watches, callback)
        if fit.rates is not None:
            fit.expect_watched(fit.rates.schedule.monitor, fit.rates.schedule)
        self.epochs = fit.epochs
        self.operations = fit.operations
        self.quantities = fit.quantities
        self.generator = None if fit.drawing is None else fit.drawing.bit_generator
        self._fit = fit if self._rows is None and self._validation_rows is None else None

    @property
    def _validation_data(self) -> Any:
        options = self.options
        if self._validation_rows is None:
            return options.validation_data
        weight = [] if options.sample_weight is None else [options.sample_weight]
        return options.X, options.y, *weight

    def _rows_of(
        self, X: Any, y: Any, prefix: str, sample_weight: Any, class_weight: Any, mask_nan: Any
    ) -> Rows:
        which = self._validation_rows if prefix else self._rows
        return self._shared.rows(
            self._core, X, y, prefix, sample_weight, class_weight, mask_nan, which
        )

    def _prepared(self) -> RowFit:
        options = self.options
        fit = prepared(
            self.network,
            self._rows_of,
            options.X,
            options.y,
            options.epochs,
            options.batch_size,
            shuffle=options.shuffle,
            validation_data=self._validation_data,
            sample_weight=options.sample_weight,
            class_weight=options.class_weight,
            mask_nan=options.mask_nan,
            metrics=options.metrics,
            tol=options.tol,
            callbacks=options.callbacks,
        )
        if options.schedule is not None:
            fit.follow(options.schedule)
        return fit

    @property
    def calls_out(self) -> bool:
        """Whether code of the user's is called in the midst of it."""
        options = self.options
        mine = options.callbacks or options.schedule is not None or options.metrics is not None
        return bool(mine) or isinstance(self._core.loss, RowLoss)

    def run(self, watch: Watch) -> None:
        """Train, and note what was recorded or has failed; `watch`: of the calling thread."""
        try:
            with self.turn(watch) as fit:
                fitting.run(fit, False)
        except Exception as error:  # noqa: BLE001 - the network's own: it stops no other
            self.fail(error)
        finally:
            self.end()

    @contextmanager
    def turn(self, watch: Watch) -> Iterator[RowFit]:
        """The fit, within the network's turn."""
        core = self._core
        engine = core.engine
        turn = engine.turns.fit_changing_while(lambda: not watch.ended)
        with turn, engine.turns.fitting(self.calls_out):
            fit = self._fit or self._prepared()  # some rows are copied for the fit alone
            self._fit, core.interrupted = None, None
            core.history = self.history = fit.history
            with engine.watched(watch):
                yield fit

    def fail(self, error: Exception) -> None:
        """Note by what the fit has failed."""
        self.history = self.history or History()
        self.history.failure = without_frames(error)

    def end(self) -> None:
        """Give back what only the fit needs."""
        self.ended = True
        self._core.engine.release()
        self.forget()

    @property
    def kind(self) -> Hashable | None:
        """What networks have in common that may be trained side by side; None for none."""
        fit, options, parts = self._fit, self.options, self._core.configuration
        if fit is None or self.calls_out or options.tol is not None or fit.validation is not None:
            return None
        if not self.goes_with(width(parts.layout.dtype)):
            return None
        return parts.layout, parts.activations, fit.batch_size, fit.steps_an_epoch, fit.epochs

    def goes_with(self, networks: int) -> bool:
        """Whether so many of its kind are trained faster side by side than one after the other."""
        assert self._fit is not None
        return lanes.pays(self._core.configuration.layout, self._fit.batch_size, networks)

    def forget(self) -> None:
        """Forget what was learned of the data, if no step was made with it."""
        learner, self._learning = self._learning, None
        if learner is not None:
            learner.__exit__(None, None, None)


def without_frames(error: Exception) -> Exception:
    """The exception without its traceback, whose frames, and those around them, hold all data.

    Where code of the user's is among them, a note tells where it came from.
    """
    modules = [
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    if any(module.partition(".")[0] != "fastbp" for module in modules):
        error.add_note("".join(traceback.format_exception(error)).rstrip())
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and not any(one is other for other in seen):
            seen.append(one)
            one.__traceback__ = None
            left += [one.__cause__, one.__context__]
    return error


def callbacks_of(callbacks: Any, count: int) -> Each:
    """The callbacks of each network: its own, or copies of those that are given for all."""
    if isinstance(callbacks, Each):
        owners: dict[int, int] = {}
        for number, of_network in enumerate(callbacks):
            with naming(number):
                checked = checked_callbacks(of_network)
            for callback in checked:
                owner = owners.setdefault(id(callback), number)
                if owner != number:
                    raise ValueError(
                        f"callbacks=each(...) has one callback for network {owner} and for "
                        f"network {number}: {callback!r}; it would see both fits at once"
                    )
        return callbacks
    given = checked_callbacks(callbacks)
    if count > 1:
        _expect_no_files(given)
    return Each(copy.deepcopy(given) for _ in range(count)) if given else Each([()] * count)


def _expect_no_files(callbacks: tuple[Callback, ...]) -> None:
    for callback in callbacks:
        if callback.writes_files:
            name = type(callback).__name__
            raise ValueError(
                f"callbacks has a {name}, and all networks would write its file: pass "
                f"each([[{name}(...)], ...]), with a path for each network"
            )
