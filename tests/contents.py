"""All that a network holds, for tests of what a call changes and of what it must leave alone."""

import numpy as np


def contents(net):
    """Copies of weights, biases and optimizer slots by name; steps; the generator's state."""
    held = {name: array.copy() for name, array in net._core.arrays().items()}
    return held | {"steps": net.steps, "rng": net._core.rng.bit_generator.state}


def learned(net):
    """The same without the generator, which a file does not hold and shuffling moves on."""
    return {name: value for name, value in contents(net).items() if name != "rng"}


def assert_same(got, want):
    """Bit for bit."""
    assert got.keys() == want.keys()
    for name, value in want.items():
        if isinstance(value, np.ndarray):
            assert got[name].dtype == value.dtype, name
            assert got[name].tobytes() == value.tobytes(), f"{name} differs"
        else:
            assert repr(got[name]) == repr(value), f"{name} differs"


def assert_different(got, want):
    """At least one array has changed."""
    arrays = [name for name, value in want.items() if isinstance(value, np.ndarray)]
    assert any(got[name].tobytes() != want[name].tobytes() for name in arrays)
