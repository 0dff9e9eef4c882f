"""Cutting networks into shares."""

import pytest

from fastbp.many.shares import LEAST, cut


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [1.0, LEAST])
def test_each_network_is_in_one_share(count, workers, size):
    operations = [size * (1 + number % 5) for number in range(count)]
    shares = cut(operations, workers)
    assert sorted(number for share in shares for number in share) == list(range(count))
    assert all(share and share == sorted(share) for share in shares)
    assert min(count, workers) <= len(shares) <= 4 * workers


def test_shares_are_as_long_as_each_other():
    operations = [float(1 + number % 17) for number in range(500)]
    loads = [sum(operations[number] for number in share) for share in cut(operations, 3)]
    assert max(loads) - min(loads) <= 17
    assert loads == sorted(loads, reverse=True)


def test_a_network_that_takes_long_goes_first_and_alone():
    assert cut([1.0, 1.0, 50.0, 1.0], 2)[0] == [2]


def test_short_work_is_cut_into_no_more_shares_than_there_are_workers():
    assert len(cut([1.0] * 100, 3)) == 3
    assert len(cut([LEAST] * 100, 3)) == 12
    assert len(cut([LEAST] * 100, 3, 1)) == 3
    assert len(cut([LEAST] * 5, 3)) == 5
    assert len(cut([1.0] * 100, 3, least=8)) == 8
    assert len(cut([1.0] * 5, 3, least=8)) == 5
