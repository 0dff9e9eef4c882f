"""Which workers there are: neighbours, memory, versions, whether files are seen."""

from pathlib import Path

import pytest
from expect import raises

from fastbp.many.census import placed
from fastbp.many.executors import Workers
from fastbp.many.workers import Seat, Told, versions

FOLDER = Path("folder")
GIB = 1 << 30


class Crew(Workers):
    """Workers that tell what a test wants."""

    name = "Crew"

    def __init__(self, told, count=None):
        self._told, self.count = told, count or len(told)

    def submit(self, work, *arguments):
        raise NotImplementedError

    def told(self, folder):
        assert folder == str(FOLDER)
        return self._told


def one(host, process, cores=(0, 1), free=None, reaches=True, limit=None):
    return Told(Seat(host, cores), process, free, reaches, versions(), limit)


def test_workers_of_one_machine_are_neighbours():
    told = [one("a", 1), one("a", 2), one("b", 1), one("b", 1)]  # who comes twice counts once
    place, near = placed(Crew(told, 3), FOLDER, None, 0, 0)
    assert near
    assert place.neighbours == {Seat("a", (0, 1)): 2, Seat("b", (0, 1)): 1}
    assert (place.others, place.threads, place.granted) == (3, None, None)


def test_those_that_are_bound_to_cores_of_their_own_are_not():
    told = [one("a", process, (process,)) for process in range(4)]
    place, _ = placed(Crew(told), FOLDER, 2, 0, 0)
    assert set(place.neighbours.values()) == {1}
    assert place.threads == 2


def test_those_that_have_not_told_may_sit_anywhere():
    place, _ = placed(Crew([one("a", 1), one("b", 1)], 8), FOLDER, None, 0, 0)
    assert set(place.neighbours.values()) == {4}


def test_files_are_seen_by_all_or_sent():
    told = [one("a", 1), one("b", 1, reaches=False)]
    assert not placed(Crew(told), FOLDER, None, 0, 0)[1]


@pytest.mark.parametrize("reaches", [True, False])
def test_memory_of_a_machine(reaches):
    told = [one("a", n, free=10 * GIB, reaches=reaches) for n in range(4)]
    told.append(one("b", 1, free=3 * GIB, reaches=reaches))
    size, copies = (GIB, 2 * GIB) if reaches else (2 * GIB, 0)
    placed(Crew(told), FOLDER, None, size, copies)
    told[2] = told[2]._replace(free=7 * GIB)
    message = "2 GiB for each of the 4 workers on a, 8 GiB together, and it has 7 GiB"
    with raises(MemoryError, message, "fewer workers", "mmap_mode"):
        placed(Crew(told), FOLDER, None, size, copies)


def test_memory_that_nobody_tells():
    placed(Crew([one("a", 1)]), FOLDER, None, 0, 1 << 60)


def test_memory_that_a_worker_may_have():
    told = [one("a", 1, limit=3 * GIB), one("a", 2, limit=5 * GIB)]
    placed(Crew(told), FOLDER, None, 0, 3 * GIB)
    with raises(MemoryError, "the data take 4 GiB in a worker, and Crew lets one have 3 GiB"):
        placed(Crew(told), FOLDER, None, 0, 4 * GIB)


def test_another_version():
    told = [one("a", 1), one("b", 1)._replace(versions=("fastbp 0", "Python 3"))]
    with raises(
        RuntimeError, "a worker on b has fastbp 0, Python 3, and here it is", versions()[0]
    ):
        placed(Crew(told), FOLDER, None, 0, 0)
