"""What is tried: of each size the candidates, and the trainings that tell which is the fastest.

To have another size measured takes one line here. Trainings are of some milliseconds, so that all
of them together take a second or so.
"""

from typing import NamedTuple

from fastbp.kernels.machine.sizes import LEGAL, Sizes


class Work(NamedTuple):
    """A training of one thread by Adam in float32.

    widths: of the layers; batch: rows of one; steps: batches of a fit.
    """

    widths: tuple[int, ...]
    batch: int
    steps: int


class Experiment(NamedTuple):
    """A size, and how it is measured.

    field: its name; factors: of the value it has, which make the candidates; works: trainings in
    which it counts.
    """

    field: str
    factors: tuple[float, ...]
    works: tuple[Work, ...]

    def candidates(self, sizes: Sizes) -> list[Sizes]:
        """The tables that are tried instead of this one, with one number changed."""
        least, most, of = LEGAL[self.field]
        now = getattr(sizes, self.field)
        values = {min(max(int(now * one), least), most) // of * of for one in self.factors}
        return [sizes._replace(**{self.field: value}) for value in sorted(values - {now})]


WIDE_INPUTS = Work((784, 128, 10), 128, 8)
SQUARE = Work((512, 512, 10), 128, 3)
WIDE_OUTPUTS = Work((256, 1024, 10), 128, 3)
DEEP_SUMS = Work((2048, 256, 10), 128, 3)
TWO_SQUARES = Work((512, 512, 512, 10), 128, 2)
FEW_OUTPUTS = Work((1000, 8), 128, 30)
SHORT_BATCH = Work((256, 1024, 10), 64, 4)
SMALL_SQUARES = Work((64, 384, 384, 10), 32, 12)

EXPERIMENTS = (
    Experiment("strip", (0.5, 2), (WIDE_INPUTS, SQUARE)),
    Experiment("few_strip", (0.5, 2), (FEW_OUTPUTS,)),
    Experiment("block", (0.5, 2), (SQUARE, WIDE_OUTPUTS)),
    Experiment("few_rows", (0.25, 2), (SHORT_BATCH,)),
    Experiment("k_block", (0.25, 0.5), (DEEP_SUMS,)),
    Experiment("streaming", (0.5, 2, 4), (TWO_SQUARES,)),
    Experiment("state_streaming", (0.5, 2, 4), (WIDE_INPUTS, SQUARE)),
    Experiment("turned_bytes", (0.5, 2, 8), (SMALL_SQUARES,)),
)
