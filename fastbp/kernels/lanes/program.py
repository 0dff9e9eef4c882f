"""The records that the kernels of networks side by side read.

An element of a network is there a line of `lanes` elements, one of each network: rows of a batch
are (rows, ld, lanes), and the parameters of each layer (inputs + 1, ld_out, lanes), behind those of
the layer below. Outputs have no padding. Every run has room for whole LANE_BLOCKs of elements.
"""

import numba
from numba import carray

from fastbp.kernels.machine.fields import record
from fastbp.kernels.machine.jit import inline_early
from fastbp.kernels.machine.pointers import pointer_maker

# One layer. Capital letters of the comments: addresses of arrays of the networks' dtype.
LANE_LAYER = record(
    "inputs", "outputs", "ld_in", "ld_out",  # widths, and row strides in lines
    "weights", "gradient",  # W (inputs + 1, ld_out, lanes): the last row holds the biases
    "below", "output",      # A (slab, ld_in, lanes) and (slab, ld_out, lanes)
    "delta", "delta_below",  # D likewise; delta_below 0 for the first layer
    "slope",                # S (slab, ld_out, lanes): where training_forward leaves the slopes
    "training_forward", "backward", "operand",  # as of one network; of elements alone
)  # fmt: skip

# One call of `step.train`.
GROUP = record(
    "layers", "layer_count", "itemsize", "lanes",
    "slab",          # rows of activations that there is room for; whole groups of bias sums
    "batch", "rows", "epochs", "first_row", "most_steps",  # as of one network
    "labels",        # 1: targets are int64 labels
    "target_columns",
    # int64 (lanes): addresses of what each network has of its own; of unused lanes those of another
    "states", "step_counters", "features", "targets", "orders", "losses", "carried",
    "coefficients",
    # int64 (lanes), too: from an epoch's numbers to the next one's; 1 where there is a network; set
    # to 1 where a loss is not finite; room for addresses
    "order_rows", "active", "failed", "epoch_orders",
    "still",         # 1: every step has the same rows in the same order
    "coefficient_count",
    "spread",        # (coefficient_count, LANE_BLOCK): those of a step, as the update reads them
    "wanted",        # (slab, target_columns, lanes), or int64 (slab, lanes)
    "worth",         # (slab, outputs, lanes)
    "values",        # float64 (batch, lanes): losses of rows
    "loss_parameters",  # float64
    "loss",          # of `lane_losses`, or 0:
    "own_loss",      # of one network, whose rows stand meanwhile in
    "own_z", "own_delta", "own_ld", "own_values",  # (slab, own_ld) and float64 (slab)
    "own_forward", "own_backward",  # of an output activation that needs whole rows, or 0
    "load", "store", "gather", "gather_labels", "to_rows", "from_rows",
    "product", "column_sums", "spread_coefficients", "update",
    "penalize", "settings",  # or 0
    # Elements of a slot; where each parameter of a network lies in its own, and its line here.
    "slots", "state", "parameters", "own_parameters", "offsets", "places", "parameter_count",
    "gradients", "zeros",
    "made",          # steps
    "failed_epoch", "failed_step",  # -1 where no batch failed
)  # fmt: skip

group_at = pointer_maker(numba.from_dtype(GROUP))
lane_layers_at = pointer_maker(numba.from_dtype(LANE_LAYER))


@inline_early
def opened(group):
    """The record of a call at an address, and those of its layers."""
    g = carray(group_at(group), (1,))[0]
    return g, carray(lane_layers_at(g.layers), (g.layer_count,))
