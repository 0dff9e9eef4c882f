"""Tests of where arrays lie: no overlap, cache lines, strides that spare the cache, slabs."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from cases import both_dtypes
from hypothesis import given
from hypothesis import strategies as st

from fastbp.kernels.machine import sizes
from fastbp.kernels.machine.jit import address
from fastbp.kernels.machine.vectors import LINE
from fastbp.layout.aligned import ALIASING, aligned_zeros, row_stride
from fastbp.layout.cutting import (
    MOST,
    PART_LEAST,
    PARTS,
    SLAB_LEAST,
    cut_batch,
    equal_slabs,
    most,
    slab_rows,
)
from fastbp.layout.layout import Layout
from fastbp.layout.workspace import Workspace

SHAPES = [(1, 1), (3, 17, 2), (784, 128, 10), (5, 512, 1024, 1, 16), (1, 1, 1, 1)]
every_shape = pytest.mark.parametrize("widths", SHAPES, ids=lambda w: "-".join(map(str, w)))
dtypes = st.sampled_from(["float32", "float64"]).map(np.dtype)
shapes = st.lists(st.integers(1, 3000), min_size=2, max_size=6).map(tuple)


@given(width=st.integers(1, 20_000), dtype=dtypes)
def test_row_stride(width, dtype):
    stride = row_stride(width, dtype.itemsize) * dtype.itemsize
    assert stride % LINE == 0
    assert stride % ALIASING != 0
    assert 0 <= stride - width * dtype.itemsize < 2 * LINE


@both_dtypes
@pytest.mark.parametrize("elements", [0, 1, 15, 16, 17, 10_000])
def test_aligned_zeros(elements, dtype):
    zeros = aligned_zeros(elements, np.dtype(dtype))
    assert (zeros.dtype, zeros.shape) == (dtype, (elements,))
    assert not zeros.any()
    assert zeros.flags.writeable
    if elements:
        assert address(zeros) % LINE == 0


@given(widths=shapes, dtype=dtypes)
def test_blocks_of_parameters_follow_each_other_at_cache_lines(widths, dtype):
    layout = Layout(widths, dtype)
    assert layout.layers == len(widths) - 1
    assert layout.strides == tuple(row_stride(width, dtype.itemsize) for width in widths)
    assert layout.parameter_offsets[0] == 0
    assert len(layout.parameter_offsets) == len(widths)
    for layer, (start, stop) in enumerate(pairwise(layout.parameter_offsets)):
        assert stop - start == (widths[layer] + 1) * layout.strides[layer + 1]
        assert start * dtype.itemsize % LINE == 0
    assert layout.parameters == layout.parameter_offsets[-1]
    assert layout.parameters * dtype.itemsize % LINE == 0  # so the slots behind are aligned too
    assert layout.parameter_count == sum((i + 1) * o for i, o in pairwise(widths))


@both_dtypes
@every_shape
def test_views_write_through_and_share_no_element(widths, dtype):
    layout = Layout(widths, np.dtype(dtype))
    flat = aligned_zeros(layout.parameters, layout.dtype)
    views = []
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        weights, biases = layout.weights(flat, layer), layout.biases(flat, layer)
        assert weights.shape == (inputs, outputs)
        assert biases.shape == (outputs,)
        assert address(weights) % LINE == 0
        assert address(biases) % LINE == 0
        views += [weights, biases]
    for number, view in enumerate(views, 1):
        assert view.base is not None
        view += number
    assert all((view == number).all() for number, view in enumerate(views, 1))
    assert np.count_nonzero(flat) == layout.parameter_count  # the padding stays zero


@both_dtypes
@every_shape
@pytest.mark.parametrize("inputs", [True, False])
def test_workspace_blocks_do_not_overlap(inputs, widths, dtype):
    layout, rows = Layout(widths, np.dtype(dtype)), 16
    sloped = [layer % 2 == 0 for layer in range(layout.layers)]
    dropped = [layer % 3 == 0 for layer in range(layout.layers)]
    work = Workspace(layout, rows, sloped, dropped, inputs)
    sizes = [rows * stride for stride in layout.strides]
    sizes[0] *= inputs
    assert (work.outputs[0] != 0) == inputs
    assert work.deltas[0] == work.mirrors[0] == 0  # the input has no delta, its W no mirror
    assert [slope != 0 for slope in work.slopes] == sloped
    assert [at != 0 for at in work.dropped] == dropped
    blocks = [
        *zip(work.outputs, sizes, strict=True),
        *zip(work.deltas[1:], sizes[1:], strict=True),
        *zip(work.mirrors[1:], layout.mirror_sizes[1:], strict=True),
        *((at, size) for at, size in zip(work.slopes, sizes[1:], strict=True) if at),
        *((at, size) for at, size in zip(work.dropped, sizes[1:], strict=True) if at),
    ]
    ends = sorted((at, at + size * layout.dtype.itemsize) for at, size in blocks if size)
    assert all(at % LINE == 0 for at, _ in ends)
    assert all(end <= following for (_, end), (following, _) in pairwise(ends))
    memory = address(work._memory)
    assert memory <= ends[0][0]
    assert ends[-1][1] <= memory + work._memory.nbytes
    assert work.nbytes == sum(end - at for at, end in ends)
    for layer in range(1, layout.layers):  # a mirror is W transposed, in the stride of its inputs
        assert layout.mirror_sizes[layer] == widths[layer + 1] * layout.strides[layer]


@pytest.mark.parametrize(
    ("widths", "flops"),
    [((3, 2), 2 * 2 * 6), ((3, 5, 2), 3 * 2 * (15 + 10) - 30), ((1, 1, 1, 1), 16)],
)
def test_row_flops_are_three_products_a_layer_but_for_the_first(widths, flops):
    assert Layout(widths, np.dtype("float32")).row_flops == flops


def test_row_elements_are_activations_and_deltas():
    layout = Layout((5, 17, 2), np.dtype("float32"))
    assert layout.row_elements == (16 + 32 + 16) + (32 + 16)


@given(
    widths=shapes,
    dtype=dtypes,
    batch=st.integers(1, 100_000),
    cache=st.integers(1 << 12, 1 << 22),
)
def test_slabs_cover_the_batch_in_few_even_parts(widths, dtype, batch, cache):
    layout, least = Layout(widths, dtype), 256
    row_bytes = layout.row_elements * dtype.itemsize
    slab = equal_slabs(row_bytes, batch, cache, least)
    fitting = cache // row_bytes
    assert slab % 16 == 0
    assert 0 < slab <= max(least, fitting)
    parts = -(-batch // slab)
    assert (parts - 1) * slab < batch <= parts * slab
    if batch <= max(least, fitting // 16 * 16):
        assert parts == 1
        assert slab - batch < 16
    else:  # a slab is at least half of what would fit
        assert 2 * slab >= max(least, fitting // 16 * 16)


@both_dtypes
def test_slabs_fill_the_cache_and_no_more(dtype):
    layout = Layout((4, 32, 16, 4), np.dtype(dtype))
    slab = slab_rows(layout, 10_000)
    held = slab * layout.row_elements * layout.dtype.itemsize
    assert layout.sizes.slab // 2 <= held <= layout.sizes.slab


@pytest.mark.parametrize("batch", [1, 128, 129, 256, 500, 1501, 10_000, 20_000, 1_000_003])
@pytest.mark.parametrize("widths", [(2, 8, 1), (4, 32, 16, 4), (64, 100, 10), (784, 64, 10)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_share_out_a_long_batch(widths, batch, dtype):
    layout = Layout(widths, np.dtype(dtype))
    slab, parts = cut_batch(layout, batch)
    assert slab % 16 == 0
    if parts:
        rows = -(-batch // parts)
        assert rows <= slab * -(-rows // slab)
        assert slab * layout.row_elements * layout.dtype.itemsize <= max(
            layout.sizes.part_slab, PART_LEAST * layout.row_elements * layout.dtype.itemsize
        )
        assert parts in PARTS
        assert rows >= 32
    else:
        assert slab == slab_rows(layout, batch)


@given(widths=shapes, dtype=dtypes, batch=st.integers(1, 20_000), less=st.integers(0, 20_000))
def test_room_for_the_largest_batch_is_room_for_all(widths, dtype, batch, less):
    layout = Layout(widths, dtype)
    slab, parts = most(layout, batch)
    for count in (batch, max(1, batch - less), min(batch, 1 + less % 700)):
        cut = cut_batch(layout, count)
        assert cut.slab <= slab
        assert cut.parts <= parts
        assert slab_rows(layout, count) <= slab
    assert slab <= batch + 15


def test_only_small_networks_have_parts():
    size = np.dtype("float32")
    assert cut_batch(Layout((4, 32, 16, 4), size), 10_000).parts
    assert not cut_batch(Layout((4, 32, 16, 4), size), 128).parts
    assert not cut_batch(Layout((784, 128, 10), size), 10_000).parts


@given(widths=shapes, dtype=dtypes, batch=st.integers(1, 100_000), team=st.integers(1, 512))
def test_a_teams_slab_has_the_rows_of_each_thread_within_bounds(widths, dtype, batch, team):
    layout = Layout(widths, dtype)
    row_bytes = layout.row_elements * dtype.itemsize
    one, slab = slab_rows(layout, batch), slab_rows(layout, batch, team)
    assert slab % 16 == 0
    assert slab >= one or -(-batch // slab) <= -(-batch // one)
    assert slab * row_bytes <= max(MOST, SLAB_LEAST * row_bytes) + 16 * row_bytes
    assert slab <= team * max(layout.sizes.slab // row_bytes, SLAB_LEAST)
    if team * one >= batch and (batch + 15) // 16 * 16 * row_bytes <= MOST:
        assert slab >= batch


def test_sizes_of_blocks_stay_on_their_machine():
    with sizes.using(sizes.current()._replace(turned_bytes=0, far=0)):
        elsewhere = Layout((20, 300, 300, 5), np.dtype(np.float32))
        assert elsewhere.turned_layers
        assert any(elsewhere.copied)
    fresh = Layout(elsewhere.widths, elsewhere.dtype)
    for kept in (pickle.loads(pickle.dumps(elsewhere)), copy.deepcopy(elsewhere)):
        assert kept == fresh
        assert kept.sizes == sizes.current() != elsewhere.sizes
        assert (kept.turned_layers, kept.copied) == (fresh.turned_layers, fresh.copied)
    assert b"sizes" not in pickle.dumps(elsewhere)


def test_a_pickle_of_a_version_without_sizes():
    layout = Layout((3, 17, 2), np.dtype(np.float64))
    layout.__setstate__({"widths": (3, 17, 2), "dtype": layout.dtype, "row_elements": 7})
    assert layout.row_elements == 72  # by its own strides, whatever it was there
