"""The records that the kernels of a step read, and what every part of a step needs of them."""

import numba
from numba import carray

from fastbp.kernels.machine.fields import record
from fastbp.kernels.machine.jit import inline_early
from fastbp.kernels.machine.pointers import load_acquire, pointer_maker, store_release
from fastbp.kernels.machine.sizes import sizes_at
from fastbp.kernels.machine.team import FLAGS, PAUSE, STOP, STOP_SEEN, barrier, share
from fastbp.kernels.machine.vectors import LINE
from fastbp.kernels.product import ahead

GRAIN = 8  # rows that a thread takes at the least


# One layer. Capital letters of the comments: addresses of arrays of the network's dtype.
LAYER = record(
    "inputs", "outputs", "ld_in", "ld_out",  # widths, and row strides in elements
    "weights",        # W (inputs + 1, ld_out): the last row holds the biases
    "mirror",         # M (outputs, ld_in): W transposed; 0 for the first layer, unless its input's
                      # delta is wanted, or where there is
    "turned",         # instead room for deltas transposed; else 0
    "gradient",       # like W
    "below",          # A (slab, ld_in): the layer's input
    "output",         # A (slab, ld_out)
    "delta",          # D (slab, ld_out): d(loss)/d(pre-activation)
    "delta_below",    # D (slab, ld_in); 0 for the first layer
    "slope",          # S (slab, ld_out): where training_forward leaves the slopes, or 0
    "dropped",        # A (slab, ld_out): the output after dropout, or 0 for none
    # 1: of several who share rows in phase 1 each has columns of the layer's outputs; of its
    # delta_below
    "forward_across", "back_across",
    "weight_columns",  # ranges of W's columns that phase 2 gives to different threads
    "frozen",         # 1: the layer is not trained; no gradient either
    "rates",          # from a step's coefficients to the layer's own, in bytes
    "drop_threshold",  # of 2**32: how often an element is dropped
    "forward", "training_forward", "backward",  # panels; 0: none
    "operand",        # of the backward panel: output or slope
    "sample_weights", "sample_biases",  # of each row's gradient (rows, inputs, outputs), or 0
)  # fmt: skip

# One call of a kernel: the batch loop's bounds, the data, and the kernels that it calls.
PROGRAM = record(
    "layers", "layer_count", "itemsize", "team", "shared", "yield_address",
    "flags",          # int64 (2 * team, team.FLAGS): the team's barrier, then those of its groups
    "columns",        # members of a group, who share rows in phase 1; across.py where not 1
    "batch_across",   # the kernel of that
    "bottom",         # the lowest layer that is trained, down to which deltas go back
    "grouped",        # 1: layers differ in what an update does
    "slab",           # rows of activations that there is room for, with parts for every thread
    "parts",          # of a long batch, each one thread's; 0: the team shares every slab
    "batch_kernel",   # parts.batch_in_parts or slabs.batch_in_slabs
    "part_bytes", "part_losses",  # from a part's gradient to the next one's; float64 (parts,)
    "batch", "rows", "epochs",
    "first_row", "most_steps",  # where the first epoch goes on; how many steps are made at most
    "least_steps",    # how many are made before PAUSE is heeded
    # float64 (4): losses and weight of the epoch that goes on, then of the one left unfinished; the
    # loss of the last step; the penalties among the losses
    "carried",
    "features", "features_ld", "feature_bytes",  # elements of a row, and its bytes
    "scaling",        # float64 (2, inputs): shifts and factors of the features, or 0
    "sparse",         # 1: the features are sparse rows, and the first layer is sparse.py's; else 0
    "entry", "entry_ld",  # A (slab, entry_ld): where a gather puts rows, or the product of sparse
    "targets", "target_bytes",  # target_bytes: of a row
    "order",          # int64 (epochs * rows); of `predict` also the numbers that a gather takes
    "order_rows",     # from an epoch's numbers to the next one's; 0: all epochs have the same, and
                      # behind them stand those of the first batch once more
    "forwarded",      # 1: the activations of the batch are in the slab, which holds all of it
    "updating",       # 1: phase 2 updates; 0: it leaves the gradient in the flat buffer
    "gemm",
    "pack",           # what rounds and keeps the second operand of several products, or 0
    "gather", "copy_rows", "transpose", "loss", "update",
    "column_sums", "add_parts",
    "drop", "drop_delta", "dropout_seed",
    "penalize",       # of the gradient before an update, or 0
    "decays",         # 1: the last of a step's coefficients is an L2 decay of its own
    "square_sum",     # of weights, where losses contain what that penalizes, or 0
    "squares", "square_count",  # float64 (2, count): of blocks of weights, of a step and the next
    "finish",         # of a step with more to do behind phase 2, or 0
    "settings", "square_sums",  # float64: of regularization; of blocks of the gradient
    "sparse_step", "train",  # phase 2 of a sparse layer; the training that sparse.py's calls
    "check", "not_finite",  # for `predict` of unchecked features, else 0; int64 that it sets to 1
    "loss_parameters", "epoch_losses",  # float64
    "row_losses",     # float64 (batch)
    "epoch_penalties",  # float64 (epochs): what of the losses are penalties, or 0
    "totals", "total_count",  # float64 (steps, count): total weights of batches; 0: no weights
    "by_rows",        # 1: in the mean loss of an epoch batches count by rows; 0: by total weights
    # float64 (steps, count); of a step those of each group of layers, and maybe a decay
    "coefficients", "coefficient_count",
    "slot_bytes", "slots", "scratch", "scratch_bytes", "zeros",
    "queues",         # int64 (team, ahead.WORDS)
    "sizes",          # of blocks: machine.sizes.SIZES
    "state", "state_bytes",
    "predictions",    # (rows, outputs) without padding; slopes of inputs (rows, passes, inputs)
    "passes",         # ways back from a row's outputs, one for each column: derivatives.py
    "copy_scaled", "outer",
    "tangents",       # records of layers like `layers`, of derivatives along a direction in place
                      # of values: curvature.py; and whether they hold second derivatives
    "curving",
    "curve", "curve_parameters",  # the second derivative of the loss, as a panel, and its own
    "curve_whole",    # 1: it changes delta from a direction to the product; 0: it is a diagonal
    "multiply",
    "step_counter",   # int64: thread 0 adds 1 for every step made
    "failed_epoch", "failed_step",  # written by thread 0; -1 where no batch failed
)  # fmt: skip

# What belongs to sparse rows (sparse.py); its address stands in the program's `features`.
SPARSE = record(
    "program",
    "values", "indices", "starts",  # of the network's dtype; int32 or int64; int64 (rows + 1)
    "wide",           # 1: indices are int64
    "entries",        # how many values and indices there are
    "rests",          # 1: an update by a gradient of zero changes nothing
    "made",           # int64 (inputs): how many steps of this call each row of W has had, or the
                      # complement ~steps where the gradient of the next one is waiting for it
)  # fmt: skip

program_at = pointer_maker(numba.from_dtype(PROGRAM))
sparse_at = pointer_maker(numba.from_dtype(SPARSE))
layers_at = pointer_maker(numba.from_dtype(LAYER))


@inline_early
def opened(program):
    """The record of a call at an address, and those of its layers."""
    p = carray(program_at(program), (1,))[0]
    return p, carray(layers_at(p.layers), (p.layer_count,))


@inline_early
def stopped(p):
    """Whether the team was asked to stop."""
    return load_acquire(p.shared + 8 * STOP) != 0


@inline_early
def tell_stop(p, whole):
    """Thread 0 tells the team, before a barrier, to stop behind it (1), or to pause (2).

    whole: a step ends there.
    """
    stop = load_acquire(p.shared + 8 * STOP)
    if whole:
        stop |= 2 * load_acquire(p.shared + 8 * PAUSE)
    store_release(p.shared + 8 * STOP_SEEN, stop)


@inline_early
def queue_of(p, me):
    """The address of thread `me`'s prefetch queue."""
    return p.queues + me * ahead.WORDS * 8


@inline_early
def sizes_of(p):
    """The sizes of blocks."""
    return carray(sizes_at(p.sizes), (1,))[0]


@inline_early
def share_rows(p, me, rows):
    """The range of rows that thread `me` and its group share, and within it the thread's own."""
    if p.columns == 1:
        first, last = share(rows, GRAIN, me, p.team)
        return first, last, first, last
    first, last = share(rows, GRAIN, me // p.columns, p.team // p.columns)
    grain = max(1, min(GRAIN, (last - first) // p.columns))
    begin, end = share(last - first, grain, me % p.columns, p.columns)
    return first, last, first + begin, first + end


@inline_early
def share_columns(columns, itemsize, me, members):
    """The range of columns that is one of some members', in whole cache lines, padding included."""
    line = LINE // itemsize
    return share((columns + line - 1) // line * line, line, me, members)


@inline_early
def decay_of_step(p, coefficients):
    """The address of a step's own L2 decay among its coefficients, 0 where it has none."""
    return coefficients + 8 * (p.coefficient_count - 1) if p.decays != 0 else 0


@inline_early
def wait(p, me):
    """Thread `me` waits for the rest of the team."""
    if p.team > 1:
        barrier(p.flags, me, p.team, p.yield_address)


@inline_early
def meet(p, me):
    """Thread `me` waits for those who share its rows in phase 1."""
    group = p.team + me // p.columns * p.columns
    barrier(p.flags + 8 * FLAGS * group, me % p.columns, p.columns, p.yield_address)
