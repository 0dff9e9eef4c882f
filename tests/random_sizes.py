"""Tables of sizes at random, within what the kernels take."""

import math

from fastbp.kernels.machine.sizes import LEGAL, Sizes, current


def random_sizes(rng):
    """A table: of each field a value between its least and eight times what is in use."""
    drawn = {}
    for field, now in current()._asdict().items():
        least, most, of = LEGAL[field]
        high = math.log(min(most, 8 * now) + 1)
        value = int(math.exp(rng.uniform(math.log(least + 1), high))) - 1
        drawn[field] = max(least, value // of * of)
    return Sizes(**drawn)
