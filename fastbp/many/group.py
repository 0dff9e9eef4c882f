"""Group: networks of one shape that are trained side by side, in the lanes of vectors."""

from collections.abc import Hashable, Sequence
from contextlib import ExitStack, suppress

from fastbp.engine import lanes
from fastbp.engine.course import Course
from fastbp.engine.engine import Engine
from fastbp.engine.lane_group import width
from fastbp.engine.watch import Watch
from fastbp.fit.row_fit import RowFit
from fastbp.many.task import Task


class Group:
    """The fits of some networks, on one thread.

    Parameters
    ----------
    tasks : sequence of Task
        Of one `kind`, and no more than there are lanes.

    Attributes
    ----------
    operations : int
        About how many there are.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        # In one order everywhere: two calls with the same networks must not wait for each other.
        self._tasks = sorted(tasks, key=lambda task: id(task.network))
        self.operations = sum(task.operations for task in tasks)

    def run(self, watch: Watch) -> None:
        """Train all, and note what was recorded or has failed; `watch`: of the calling thread."""
        try:
            with ExitStack() as turns:
                under_way = []
                for task in self._tasks:
                    try:
                        fit = turns.enter_context(task.turn(watch.another()))
                    except Exception as error:  # noqa: BLE001 - the network's own
                        task.fail(error)
                    else:
                        under_way.append((task, fit))
                while under_way:
                    under_way = _some_epochs(under_way, watch)
        finally:
            for task in self._tasks:
                task.end()


def _some_epochs(under_way: list[tuple[Task, RowFit]], watch: Watch) -> list[tuple[Task, RowFit]]:
    """Go some epochs further with all; returns those that have not come to their end."""
    together: dict[Hashable, list[tuple[Engine, Course]]] = {}
    drawn = []
    for task, fit in under_way:
        try:
            course = fit.draw(len(under_way) - 1)
        except Exception as error:  # noqa: BLE001 - as below
            _fail(task, fit, error)
            continue
        drawn.append((task, fit))
        key = None if course is None else lanes.alike(fit.engine, course)
        if course is not None and key is not None:
            together.setdefault(key, []).append((fit.engine, course))
    for members in together.values():
        engines, courses = zip(*members, strict=True)
        if lanes.pays(engines[0].layout, courses[0].batch, len(members)):
            with suppress(MemoryError):  # each goes on alone, with less
                lanes.train_together(engines, courses, lambda: not watch.ended)
    left, interruption = [], None
    for task, fit in drawn:
        try:
            fit.some_epochs()
        except Exception as error:  # noqa: BLE001 - the network's own: it stops no other
            _fail(task, fit, error)
        except BaseException as error:  # noqa: BLE001 - raised below, when all are whole
            interruption = error
        else:
            if fit.epoch < fit.epochs:
                left.append((task, fit))
    if interruption is not None:
        raise interruption
    return left


def _fail(task: Task, fit: RowFit, error: Exception) -> None:
    """Note by what the fit of one network has failed, and what was recorded until then."""
    error.history = fit.history  # type: ignore[attr-defined]  # exceptions take any
    task.fail(error)


def grouped(tasks: Sequence[Task]) -> list[Task | Group]:
    """The tasks, those of one kind in groups where that pays."""
    jobs: list[Task | Group] = []
    kinds: dict[Hashable, list[Task]] = {}
    for task in tasks:
        kind = task.kind
        if kind is None:
            jobs.append(task)
        else:
            kinds.setdefault(kind, []).append(task)
    for alike in kinds.values():
        together = width(alike[0].network.dtype)
        for first in range(0, len(alike), together):
            members = alike[first : first + together]
            jobs += [Group(members)] if members[0].goes_with(len(members)) else members
    return jobs
