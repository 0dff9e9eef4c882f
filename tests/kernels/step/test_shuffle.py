"""Tests of the random orders: permutations, evenly drawn, decided by the key."""

import numpy as np
import pytest
from guarded import Guarded, canaries

from fastbp.kernels.machine.jit import address
from fastbp.kernels.step.shuffle import shuffled
from fastbp.rows.rows import row_orders


def orders_of(rows, keys):
    orders = Guarded(canaries((len(keys), rows), "int64"))
    shuffled.call()(orders.at, len(keys), rows, address(np.array(keys)))
    assert orders.intact()
    return orders.array.tolist()


def random_word(key, counter):
    """SplitMix64's output by Python's integers."""
    mask = (1 << 64) - 1
    word = (key + counter * 0x9E3779B97F4A7C15) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    return word ^ (word >> 31)


def test_words_are_splitmix64s():
    # The first outputs of the published generator for the seed 1234567.
    words = [random_word(1234567, counter) for counter in (1, 2, 3)]
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("key", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 1000])
def test_shuffled_is_the_textbooks(rows, key):
    want = []
    for i in range(rows):  # append, then swap with one of those there
        j = random_word(key % 2**64, i) * (i + 1) >> 64
        want.append(i)
        want[i], want[j] = want[j], want[i]
    assert orders_of(rows, [key]) == [want]
    assert orders_of(rows, [5, key, 5])[1] == want


def test_orders_are_drawn_evenly():
    seen = {}
    for order in row_orders(4, 24_000, 2, np.random.default_rng(0)):
        seen[tuple(order)] = seen.get(tuple(order), 0) + 1
    assert len(seen) == 24
    assert max(abs(count - 1000) for count in seen.values()) < 150  # nearly 5 deviations


def test_orders_follow_the_generator_and_differ():
    first, again = (row_orders(50, 3, 7, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(np.sort(first), row_orders(50, 3, 7, None))
    assert len(np.unique(first, axis=0)) == 3


@pytest.mark.parametrize(("rows", "batch"), [(5, 5), (50, 7), (1, 1)])
def test_behind_an_order_that_all_epochs_share_stands_its_first_batch(rows, batch):
    orders = row_orders(rows, 3, batch, None)
    assert orders.shape == (3, rows)
    behind = np.lib.stride_tricks.as_strided(orders[0], (rows + batch,))
    np.testing.assert_array_equal(behind, [*range(rows), *range(batch)])
