"""The model of a step's costs against sweeps that were measured; what it never chooses."""

import itertools
import math

import numpy as np
import pytest

from fastbp.engine import cost, work
from fastbp.engine.cost import Speeds
from fastbp.kernels.machine import cores
from fastbp.kernels.machine.caches import KIB, Caches
from fastbp.kernels.step.program import GRAIN
from fastbp.layout.layout import Layout

EMERALD = cost.Machine(Caches(48 * KIB, 2048 * KIB, 262144 * KIB, 64, 1, 16), 16, Speeds())
ZEN = cost.Machine(Caches(48 * KIB, 1024 * KIB, 32768 * KIB, 64, 1, 2), 16, Speeds())
COUNTS = 1, 2, 4, 8, 16

# Microseconds of a step with Adam on COUNTS threads: Intel, 16 cores, commit 3a27ae0, which shared
# phase 1 by rows alone and had a barrier with one counter.
INTEL_US = {
    ((8, 64, 64, 4), 64): (19.5, 29.6, 25.4, 23.5, 25.0),
    ((64, 100, 10), 200): (69, 74, 40, 41, 45),
    ((784, 128, 10), 128): (582, 457, 288, 275, 243),
    ((784, 512, 512, 10), 128): (4653, 2595, 1675, 1531, 1356),
    ((784, 512, 512, 10), 1024): (25_000, 14_900, 9_000, 7_400, 6_600),
    ((1024, 2048, 2048, 1024), 256): (107_000, 78_000, 43_000, 27_000, 19_000),
    ((4, 32, 16, 4), 10_000): (1025, 514, 345, 210, 210),
}
# The same of AMD Zen 5 on one thread and on two, which met within so many seconds: a virtual
# machine's cores, some minutes on one L3 cache and then on two.
NEAR, FAR = 5.5e-8, 2.5e-7
ZEN_US = {
    ((8, 64, 64, 4), 64, NEAR): (12.2, 9.7),
    ((64, 100, 10), 200, NEAR): (53.5, 35.1),
    ((784, 64, 10), 64, NEAR): (89.5, 62.1),
    ((64, 24, 24, 10), 20, NEAR): (2.7, 3.1),
    ((400, 64, 64, 64, 10), 16, NEAR): (19.4, 15.9),
    ((784, 50, 50, 10), 20, NEAR): (36.1, 25.1),
    ((512, 400, 400, 400, 10), 20, NEAR): (401, 228),
    ((8, 512, 10), 50, FAR): (23, 52),
    ((784, 64, 64, 10), 20, FAR): (42, 67),
    ((300, 16, 16, 10), 16, FAR): (4.2, 12.5),
    ((24, 8, 8, 8, 10), 128, FAR): (5.1, 19.0),
    ((100, 50, 50, 10), 64, FAR): (21.2, 36.0),
    ((24, 100, 512), 50, FAR): (126, 162),
    ((32, 256, 256, 256, 8), 128, FAR): (530, 443),
    ((2048, 512, 2048), 50, FAR): (3803, 2276),
    ((200, 300, 10), 2048, FAR): (2902, 2081),
}


def layout(widths, dtype="float32"):
    return Layout(tuple(widths), np.dtype(dtype))


@pytest.mark.parametrize(("widths", "batch"), INTEL_US, ids=str)
def test_the_choice_is_within_a_tenth_of_the_best_of_sixteen_cores(widths, batch):
    times = dict(zip(COUNTS, INTEL_US[widths, batch], strict=True))
    chosen = cost.best_threads(layout(widths), batch, 2, 16, EMERALD)
    # Of a count between two that were measured, a time between theirs.
    assert np.interp(chosen, COUNTS, list(times.values())) <= 1.1 * min(times.values()), chosen


@pytest.mark.parametrize(("widths", "batch", "meeting"), ZEN_US, ids=str)
def test_the_choice_is_within_a_tenth_of_the_better_of_one_core_and_two(widths, batch, meeting):
    times = dict(enumerate(ZEN_US[widths, batch, meeting], 1))
    machine = ZEN._replace(speeds=Speeds(barrier=meeting))
    chosen = cost.best_threads(layout(widths), batch, 2, 2, machine)
    assert times[chosen] <= 1.1 * min(times.values()), chosen


def test_more_threads_where_they_meet_sooner():
    at_once, never = (EMERALD._replace(speeds=Speeds(barrier=s)) for s in (1e-9, 1e-2))
    for widths, batch in INTEL_US:
        assert cost.best_threads(layout(widths), batch, 2, 16, never) == 1
        assert cost.best_threads(layout(widths), batch, 2, 16, at_once) >= 4


def test_threads_that_share_no_cache_take_longer_to_meet():
    speeds = Speeds(barrier=NEAR)
    shared, apart = (
        cost.Machine(ZEN.caches._replace(l3_cores=sharing), 16, speeds) for sharing in (16, 4)
    )
    of = layout((784, 128, 10)), 128, 2
    assert cost.step_seconds(*of, 4, shared) == cost.step_seconds(*of, 4, apart)
    assert cost.step_seconds(*of, 5, shared) < cost.step_seconds(*of, 5, apart)


def test_small_networks_have_one_thread_of_many():
    for widths, batch in ((2, 8, 1), 16), ((1, 1), 1), ((4, 32, 16, 4), 64), ((8, 64, 64, 4), 64):
        assert cost.best_threads(layout(widths), batch, 2, 64, EMERALD) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_shape_has_a_time_on_every_team(dtype):
    """Of one row, one column, no whole vector, parts, slabs, and a network without a mirror."""
    for widths, batch in itertools.product(
        ((1, 1), (3, 1, 7), (17, 33, 15, 1), (1100, 1300, 3)), (1, 7, 49, 300, 5000)
    ):
        for threads in (1, 2, 3, 7, 16, 61):
            seconds = cost.step_seconds(layout(widths, dtype), batch, 1, threads, EMERALD)
            assert 0 < seconds < math.inf


def test_more_work_takes_longer():
    def seconds(batch=100, slots=1, dtype="float32", lanes=16, threads=4):
        machine = EMERALD._replace(lanes=lanes)
        return cost.step_seconds(layout((300, 200, 10), dtype), batch, slots, threads, machine)

    assert seconds(batch=200) > seconds()
    assert seconds(dtype="float64") > seconds()
    assert seconds(lanes=8) > seconds()


def test_a_team_has_no_more_threads_than_grains_and_cores(every_thread_pays, monkeypatch):
    free = EMERALD._replace(speeds=Speeds(barrier=1e-9))
    monkeypatch.setattr(work, "_machine", lambda of_call: free)
    monkeypatch.setattr(cores, "available_cores", lambda: 12)
    for batch, want in (8, 1), (9, 2), (5 * GRAIN, 5), (100 * GRAIN, 12):
        of = layout((8, 8, 4096))
        flops = of.row_flops * batch
        assert work.training_members(of, 2, None, batch, flops, flops) <= want
        assert work.training_members(of, 2, 64, batch, flops, flops) == min(64, -(-batch // GRAIN))


def test_sparse_rows_count_by_their_entries(every_thread_pays, monkeypatch):
    asked = []
    monkeypatch.setattr(work, "_machine", lambda of_call: EMERALD)
    monkeypatch.setattr(cores, "available_cores", lambda: 4)
    monkeypatch.setattr(cost, "best_threads", lambda of, *_: asked.append(of) or 1)
    of = layout((5000, 100, 10))
    others = of.row_flops - 4 * 5000 * 100
    for entries, want in (5, 5), (5000, 5000), (9000, 5000):
        flops = 64 * (others + 4 * entries * 100)
        work.training_members(of, 2, None, 64, flops, 10**9)
        assert asked.pop().widths == (want, 100, 10)


def test_batches_of_all_sizes_ask_the_model_for_few(every_thread_pays, monkeypatch):
    """Each answer takes milliseconds where there are many cores; it is kept, one for each size."""
    asked = set()
    monkeypatch.setattr(work, "_machine", lambda of_call: EMERALD)
    monkeypatch.setattr(cores, "available_cores", lambda: 64)
    monkeypatch.setattr(cost, "best_threads", lambda of, batch, *_: asked.add(batch) or 1)
    of = layout((300, 200, 10))
    for batch in range(9, 5000):
        flops = of.row_flops * batch
        work.training_members(of, 2, None, batch, flops, flops)
    assert {16, 48, 64, 128, 256, 4096} <= asked
    assert len(asked) < 90
