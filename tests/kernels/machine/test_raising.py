"""What can raise an exception is told from what cannot, and no name does harm."""

import math

import numba
import numpy as np
import pytest
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.kernels.machine.raising import can_raise

TABLE, TRIPLE = np.arange(4.0), (1.0, 2.0, 3.0)


@numba.njit
def nested(z):
    if z > 1000:
        raise ValueError("too large")
    return z


@numba.njit
def long(z):
    for _ in range(50):
        z = math.sin(z) * z + math.cos(z) ** 3 + np.tanh(z)
    return z


@numba.njit
def quotient(z):
    return z / (1 + abs(z))


@numba.njit(error_model="python")
def inverse(z):
    return 1 / z


UNTOUCHED: dict = {}  # pytest rewrites the asserts of this file
exec("def asserting(z):\n    assert z < 10\n    return z", UNTOUCHED)


def raising(z):
    if z < 0:
        raise ValueError
    return z


def branches(z):
    if z > 0:
        return z
    return -z if z < -1 else z * z


def loops(z):
    while z > 1:
        z = z / 2
    for i in range(4):
        z += TABLE[i]
    return z


RAISING = [
    UNTOUCHED["asserting"], raising, nested, inverse,
    lambda z: nested(z) * 2, lambda z: long(z) + nested(z), lambda z: z**-1,
    lambda z: TABLE[int(z)], lambda z: TRIPLE[int(z)], lambda z: np.take(TABLE, int(z)),
]  # fmt: skip
SOUND = [
    branches, loops, long, quotient,
    lambda z: z * z, lambda z: z / (1 + abs(z)), lambda z: 1 / z, lambda z: z**3, lambda z: z**2.5,
    lambda z: long(z) + long(2 * z), lambda z: quotient(z) + 1, lambda z, a=2.0: a * z,
    lambda z: math.log(z) + math.sqrt(z) + math.asin(z) + math.gamma(z) + math.erf(z),
    lambda z: np.log1p(np.exp(z)) + np.sign(z) + np.sinc(z), lambda z: min(max(z, -1), 1),
    lambda z: np.maximum(z, np.float32(0)), lambda z: TABLE[1] * z + TRIPLE[2],
    lambda z: np.where(z > 0, z, 0.0), lambda z: z % 1 + z // 2 + round(z) + math.floor(z),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", RAISING, ids=range(len(RAISING)))
def test_what_can_raise(function, dtype):
    assert can_raise(function, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", SOUND, ids=range(len(SOUND)))
def test_what_cannot(function, dtype):
    assert not can_raise(function, dtype)


@pytest.mark.parametrize("place", ["f", "df"])
@pytest.mark.parametrize("from_output", [True, False])
def test_an_activation_that_can_raise_is_refused(from_output, place):
    functions = {"f": lambda z: z, "df": lambda z: 1.0} | {place: raising}
    own = fastbp.Activation(**functions, name="own", from_output=from_output, check=False)
    with raises(ValueError, f"{place} of activation 'own' can raise an exception"):
        net = fastbp.Network((2, 3, 1), activation=own, rng=0)
        before = contents(net)
        try:
            net.fit(np.ones((4, 2)), np.ones((4, 1)))
        finally:
            assert_same(contents(net), before)


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\ud800", "\x7f"], ids=ascii)
def test_names_that_are_refused(name):
    with raises(ValueError, "name must be a non-empty string of printable characters"):
        fastbp.Activation(lambda z: z, name=name)


@pytest.mark.parametrize("name", ['"quoted"', "größe 😀", "%@!{}\\", "a" * 300], ids=range(4))
def test_names_of_any_printable_characters(name):
    own = fastbp.Activation(lambda z: z * z, lambda z: z + z, name=name)
    net = fastbp.Network((2, 3, 1), activation=own, rng=0)
    assert np.isfinite(net.fit(np.ones((4, 2)), np.ones((4, 1)))["loss"]).all()
    assert own.forward.function.__qualname__.isascii()
