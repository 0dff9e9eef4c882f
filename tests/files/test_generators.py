"""States of random generators go to a file and come back; impossible ones are refused."""

import copy
import json

import numpy as np
import pytest
from expect import raises
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbp.files import generators

NAMES = ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"]


def used(name):
    """A generator in the midst of a block and of a 64-bit number."""
    rng = np.random.Generator(getattr(np.random, name)(7))
    rng.random(1000)
    rng.integers(0, 9, 3, dtype="u4")
    return rng


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_goes_on_from_its_text(name):
    rng = used(name)
    text = json.dumps(generators.describe(rng))
    other = generators.restore(json.loads(text))
    assert type(other.bit_generator) is type(rng.bit_generator)
    assert json.dumps(generators.describe(other)) == text
    for draw in (
        lambda rng: rng.integers(0, 1000, 999, dtype="u4"),
        lambda rng: rng.normal(size=2000),
        lambda rng: rng.permutation(50),
    ):
        np.testing.assert_array_equal(draw(other), draw(rng))


def test_all_of_numpys_bit_generators_are_known():
    kinds = {kind.__name__ for kind in np.random.BitGenerator.__subclasses__()}
    assert kinds & set(vars(np.random)) == set(NAMES)


def test_a_foreign_bit_generator_has_no_description():
    class Foreign(np.random.PCG64):
        pass

    class PCG64(np.random.PCG64):  # only the name is NumPy's
        pass

    for bits in (Foreign(0), PCG64(0)):
        assert generators.describe(np.random.Generator(bits)) is None


def edits(name):
    """Places of a state, and values which that place cannot have."""
    half = [(["has_uint32"], 2), (["uinteger"], 1 << 32), (["uinteger"], 1.0)]
    words = [0] * 4
    return {
        "MT19937": [
            (["state", "pos"], 625),
            (["state", "pos"], -1),
            (["state", "pos"], 2**31),
            (["state", "pos"], True),
            (["state", "pos"], None),
            (["state", "key"], [1] * 623),
            (["state", "key"], [1] * 625),
            (["state", "key"], [0] * 624),
            (["state", "key"], [(1 << 31) - 1, *[0] * 623]),
            (["state", "key"], [-1] * 624),
            (["state", "key"], [1 << 32] * 624),
            (["state", "key"], ["1"] * 624),
            (["state", "key"], [[1]] * 624),
            (["state", "key"], "1" * 624),
            (["state", "more"], 1),
        ],
        "PCG64": [
            (["state", "state"], 1 << 128),
            (["state", "state"], -1),
            (["state", "inc"], 2),
            (["state", "inc"], 10**120 + 1),
            (["state", "inc"], 1.0),
            *half,
        ],
        "PCG64DXSM": [(["state", "inc"], 0), (["state"], 3), *half],
        "Philox": [
            (["buffer_pos"], 5),
            (["buffer_pos"], -1),
            (["buffer"], [0] * 3),
            (["buffer"], [*words[1:], 1 << 64]),
            (["state", "counter"], [0] * 5),
            (["state", "key"], words),
            (["state", "key"], None),
            *half,
        ],
        "SFC64": [(["state", "state"], [0] * 3), (["state", "state"], [-1] * 4), *half],
    }[name]


@pytest.mark.parametrize("name", NAMES)
def test_impossible_states_are_refused(name):
    for place, value in edits(name):
        described = generators.describe(used(name))
        at = described
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
        with raises(ValueError, "rng"):
            generators.restore(described)


@pytest.mark.parametrize(
    "name", [None, 1, "", "pcg64", "RandomState", "BitGenerator", "__class__", "default_rng", []]
)
def test_other_names_are_refused(name):
    described = generators.describe(used("PCG64")) | {"bit_generator": name}
    with raises(ValueError, "rng must be one of the bit generators MT19937", "SFC64"):
        generators.restore(described)


@pytest.mark.parametrize("described", [None, 5, "PCG64", [], {}, {"bit_generator": "PCG64"}])
def test_other_things_are_refused(described):
    with raises(ValueError, "rng"):
        generators.restore(described)


@settings(max_examples=300)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_state_of_any_numbers_is_refused_or_works(name, data):
    """Reads out of bounds would crash, a generator that stands still would hang."""
    described = copy.deepcopy(generators.describe(used(name)))
    number = st.integers(-1, 5) | st.integers(0, 1 << 129) | st.sampled_from([624, 625, 1 << 32])

    def edit(value):
        if isinstance(value, dict):
            return {key: edit(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [data.draw(number)] * len(value)
        return value if isinstance(value, str) else data.draw(number)

    place = data.draw(st.sampled_from(sorted(set(described) - {"bit_generator"})))
    described[place] = edit(described[place])
    try:
        rng = generators.restore(described)
    except ValueError:
        return
    assert len(set(rng.random(2000).tolist())) > 1  # it moves
    assert sorted(rng.permutation(700)) == list(range(700))
