"""An interrupt at whatever moment of a call leaves a network that works as if new.

Signals come by chance; here a tracer raises before one instruction after the other. The calls are
those that make memory or replace it, and set down its addresses.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import data
from contents import assert_same, learned

import fastbp
from fastbp.engine import turns
from fastbp.fit import evaluation
from fastbp.network import core, inference, training

PACKAGE = str(Path(fastbp.__file__).parent)
# Their `with` statements are safe from signals, which come after calls, but not from a tracer.
LOCKING = {m.__file__ for m in (core, evaluation, inference, training, turns)}
STRIDE = 3  # instructions, of which a statement has some ten
X, Y = data(2000, 5, 4)
X, Y = X.astype("f4"), Y.astype("f4")


def interrupted(call, number):
    """Raise KeyboardInterrupt in `call` before fastbp's instruction of that number, if it comes."""
    left = number

    def trace(frame, event, argument):
        nonlocal left
        name = frame.f_code.co_filename
        if name in LOCKING or not name.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def used(net):
    """What all kinds of calls return, for one row and for more rows than one slab has."""
    given = []
    for rows in (1, 2000):
        x, y = X[:rows], Y[:rows]
        given += [net.predict(x), net.evaluate(x, y), net.train_step(x, y)]
        loss, gradients = net.loss_and_gradients(x, y)
        given += [loss, *gradients.weights, *gradients.biases]
        given += net.fit(x, y, epochs=2, batch_size=1500, shuffle=False)["loss"]
    return given


def fit(net, rows):
    net.fit(X[:rows], Y[:rows], batch_size=1000, shuffle=False, progress=False)


CALLS = {
    "fit": fit,
    "predict": lambda net, rows: net.predict(X[:rows]),
    "evaluate": lambda net, rows: net.evaluate(X[:rows], Y[:rows]),
    "train_step": lambda net, rows: net.train_step(X[:rows], Y[:rows]),
    "loss_and_gradients": lambda net, rows: net.loss_and_gradients(X[:rows], Y[:rows]),
}


@pytest.mark.parametrize("rows", [1, 2000])  # 2000 rows take two slabs
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_before_any_instruction_changes_nothing(name, rows):
    new = fastbp.Network([5, 9, 4], rng=0, threads=1)
    if rows > 1:
        for call in CALLS.values():
            call(new, 1)

    def copied():
        net = copy.deepcopy(new)
        if rows > 1:  # a copy holds no memory to replace
            net.predict(X[:1])
            net.evaluate(X[:1], Y[:1])
            net.loss_and_gradients(X[:1], Y[:1])
        return net

    wanted = {}  # what is learned and used where no step was made, and where all were
    for made in (False, True):
        twin = copied()
        if made:
            CALLS[name](twin, rows)
        wanted[made] = learned(twin), used(twin)
    moments = 0
    while True:
        net = copied()
        if not interrupted(lambda net=net: CALLS[name](net, rows), moments):
            break
        parameters, results = wanted[net.steps > new.steps]
        assert_same(learned(net), parameters)
        for got, want in zip(used(net), results, strict=True):
            np.testing.assert_array_equal(got, want)
        moments += STRIDE
    assert moments > 300
