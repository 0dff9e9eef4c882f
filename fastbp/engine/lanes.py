"""Networks of one shape trained side by side, each in a lane of the processor's vectors.

Where networks are too small to fill vectors, a step of a whole group takes little longer than that
of a single one. The numbers are those of `Engine.train`, to the last bit.
"""

import functools
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from fastbp.engine.course import Course
from fastbp.engine.engine import Engine
from fastbp.engine.lane_group import LaneGroup, width
from fastbp.kernels.machine.vectors import LINE
from fastbp.layout.cutting import cut_batch
from fastbp.layout.layout import Layout
from fastbp.losses import RowLoss
from fastbp.tasks import Tasks

LAYER_FLOPS = 2100  # of a layer and network for which a full group pays where no vector has padding
LEAST_SHARE = 0.25  # of the lanes, with which even the smallest networks need a group


def alike(engine: Engine, course: Course) -> Hashable | None:
    """What networks that go together have in common; None for one that is trained alone.

    Learning rates and other settings of an optimizer, the steps made, the data and the orders of
    the rows are each network's own.
    """
    parts, data, batch = engine.parts, course.data, course.batch
    layout, regularization = parts.layout, parts.regularization
    apart = (
        type(course) is not Course
        or isinstance(parts.loss, Tasks | RowLoss)
        or parts.loss_weights is not None
        or parts.products is not None
        or not parts.groups.alike
        or engine.scaling is not None
        or regularization.drops
        or regularization.alpha
        or regularization.clip_norm is not None
        or regularization.max_norm is not None
        or not isinstance(data.features, np.ndarray)
        or data.features.dtype != layout.dtype
        or data.weights is not None
        or data.masked
        or data.slopes is not None
    )
    in_pieces = cut_batch(layout, batch).parts > 0  # each with a sum of losses of its own
    if apart or in_pieces or not pays(layout, batch, width(layout.dtype)):
        return None
    return (
        layout, parts.activations, parts.loss, parts.optimizer.panel, regularization,
        data.labels, batch, course.order.shape, course.done,
    )  # fmt: skip


def pays(layout: Layout, batch: int, networks: int) -> bool:
    """Whether so many networks are trained faster together than one after the other, as measured.

    A group takes as long as a full one. What speaks for it is what single networks lose: time
    between the kernels of a layer, which counts for less the more work there is for each, and
    elements of vectors that have no output.
    """
    lanes = width(layout.dtype)
    pairs = list(zip(layout.widths[:-1], layout.widths[1:], strict=True))
    used = sum(inputs * outputs for inputs, outputs in pairs)
    padded = sum(inputs * -(-outputs // lanes) * lanes for inputs, outputs in pairs)
    share = networks / lanes
    most = LAYER_FLOPS * lanes * share**3 * (padded / used) ** 4
    small = layout.parameter_count * LINE <= layout.sizes.lane_parameters
    return share >= LEAST_SHARE and small and batch * layout.row_flops <= layout.layers * most


def train_together(
    engines: Sequence[Engine],
    courses: Sequence[Course],
    go_on: Callable[[], bool] = lambda: True,
) -> None:
    """Train each engine through its course, to the bits of `Engine.train` one by one.

    Parameters
    ----------
    engines, courses : sequence
        Not more than `width`, whose `alike` is one and not None. Each engine is another one.
    go_on : callable, optional
        Asked before each call of the kernels, which takes some milliseconds; training ends where
        it returns False, after whole steps.
    """
    group = LaneGroup(engines, courses)
    while group.left and go_on():
        for engine in engines:
            engine.turns.give_way()
        hold = group.go_on
        for engine in engines:
            hold = functools.partial(engine.turns.hold, hold)
        hold()
