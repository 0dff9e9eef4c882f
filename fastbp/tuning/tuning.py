"""From the rule's table to the measured one, its file, and what a user is shown of them."""

from collections.abc import Sequence

from fastbp.kernels.machine import tuned
from fastbp.kernels.machine.caches import caches
from fastbp.kernels.machine.sizes import NEVER, Sizes, of_caches, of_machine
from fastbp.tuning.experiments import EXPERIMENTS, Experiment, Work
from fastbp.tuning.measuring import Training, best


def tune() -> None:
    """Measure sizes of blocks, and keep them for networks that are made from now on.

    Raises
    ------
    OSError
        There is no folder for compiled kernels, or it cannot be written.
    """
    tuned.check_place()
    sizes = measured(EXPERIMENTS)
    fields = [experiment.field for experiment in EXPERIMENTS]
    tuned.write({"sizes": {field: getattr(sizes, field) for field in fields}})
    of_machine.cache_clear()


def measured(experiments: Sequence[Experiment]) -> Sizes:
    """The fastest table: one size after the other, each beside those found before.

    Kernels that are not in the cache yet are compiled first.
    """
    works = dict.fromkeys(work for experiment in experiments for work in experiment.works)
    trainings = {work: Training(work) for work in works}
    sizes = of_caches(caches())

    def seconds(work: Work, sizes: Sizes) -> float:
        return trainings[work].seconds(sizes)

    for work in works:
        seconds(work, sizes)
    for experiment in experiments:
        sizes = best(experiment, sizes, seconds)
    return sizes


def forget() -> None:
    """Go back to the rule."""
    tuned.forget()
    of_machine.cache_clear()


def report() -> str:
    """The table in use, by lines of name, number and where it comes from."""
    table, rule = of_machine(), of_caches(caches())
    lines = [
        f"caches: {caches()}",
        f"what each size is: {Sizes.__module__}",
        f"{'size':16} {'in use':>12}  from",
    ]
    for name, number in table.sizes._asdict().items():
        value, of_rule = _told(number), _told(getattr(rule, name))
        source = "the rule"
        if name in table.measured:
            other = "as the rule" if value == of_rule else f"the rule has {of_rule}"
            source = f"a measurement; {other}"
        lines.append(f"{name:16} {value:>12}  {source}")
    if table.measured:
        lines.append(f"kept in {tuned.path()}")
    return "\n".join(lines) + "\n"


def _told(number: int) -> str:
    return "never" if number == NEVER else str(number)
