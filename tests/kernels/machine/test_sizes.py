"""The rule for sizes of blocks, tables in use, and the file of what was measured."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbp
from fastbp.kernels.machine import sizes, tuned
from fastbp.kernels.machine.caches import KIB, Caches
from fastbp.kernels.machine.sizes import (
    LEGAL,
    NEVER,
    Sizes,
    check,
    current,
    of_caches,
    using,
)
from fastbp.kernels.step.program import PROGRAM

RULE = of_caches(Caches(48 * KIB, 1024 * KIB, 32 << 20, 64, 1, 2))


def test_the_numbers_of_the_machine_they_were_found_on():
    assert Sizes(
        strip=8192, least_strip=16, few_strip=256, block=256, whole=4160, few_rows=64,
        k_block=1024, turned_depth=1024, far=NEVER, pack_rows=32, pack_depth=512,
        delta_bytes=3 << 17, below_bytes=1 << 17, streaming=1 << 19, state_streaming=1 << 20,
        turned_rows=48, turned_bytes=1 << 17, slab=1 << 19, part_slab=1 << 18, lane_slab=1 << 18,
        lane_parameters=1 << 18,
    ) == RULE  # fmt: skip


def test_larger_caches_want_copies_of_rows_that_lie_far_apart():
    large = of_caches(Caches(48 * KIB, 2048 * KIB, 32 << 20, 64, 1, 2))
    assert (large.far, large.turned_depth, large.delta_bytes) == (2560, 128, 3 << 18)
    assert of_caches(Caches(48 * KIB, 2048 * KIB, 0, 64, 2, 1)) == RULE  # two cores' together


@given(
    l1=st.integers(1, 1 << 24),
    l2=st.integers(1, 1 << 32),
    cores=st.integers(1, 512),
)
def test_the_rule_is_legal_for_all_caches(l1, l2, cores):
    found = of_caches(Caches(l1, l2, l2, 64, cores, cores))
    check(found)
    assert LEGAL.keys() == found._asdict().keys()


@pytest.mark.parametrize("field", LEGAL)
def test_what_the_kernels_do_not_take(field):
    least, most, of = LEGAL[field]
    wrong = [least - 1, most + 1, 1.0, True, None, *([least + of // 2] if of > 1 else [])]
    for value in wrong:
        with pytest.raises(ValueError, match=f"{field} must be an int from {least} to {most}"):
            check(RULE._replace(**{field: value}))
        with (
            pytest.raises(ValueError, match=field),
            using(RULE._replace(**{field: value})),
        ):
            pass
    check(RULE._replace(**{field: least}))
    check(RULE._replace(**{field: most // of * of}))


def test_networks_take_up_the_table_in_use():
    tables = [current()._replace(strip=strip) for strip in (16, 32)]
    before, made = current(), []
    with using(tables[0]):
        made.append(fastbp.Network([3, 4, 2], rng=0))
        with using(tables[1]):
            made.append(fastbp.Network([3, 4, 2], rng=0))
        made.append(fastbp.Network([3, 4, 2], rng=0))
    assert current() == before
    made[0].train_step(np.ones((2, 3)), np.ones((2, 2)))
    engine = made[0]._core.engine
    (plan,) = engine._memory.plans.values()
    words = np.frombuffer(plan.program, PROGRAM)[0]
    assert words["sizes"] == sizes.address_of(tables[0])
    assert [net._core.engine.layout.sizes.strip for net in made] == [16, 32, 16]


@pytest.fixture
def file(monkeypatch, tmp_path):
    """The path of the file of what was measured, which is not there yet."""
    path = tmp_path / "tuned.json"
    monkeypatch.setattr(tuned, "path", lambda: path)
    sizes.of_machine.cache_clear()
    yield path
    sizes.of_machine.cache_clear()


def test_what_was_measured_is_used(file):
    rule = current()
    tuned.write({"sizes": {"k_block": 7, "strip": 160}})
    assert current() == rule  # until another process, or `fastbp.tuning`, looks anew
    sizes.of_machine.cache_clear()
    found = sizes.of_machine()
    assert found.sizes == current() == rule._replace(k_block=7, strip=160)
    assert found.measured == {"k_block", "strip"}
    tuned.forget()
    tuned.forget()
    sizes.of_machine.cache_clear()
    assert sizes.of_machine() == (rule, frozenset())


DAMAGED = [
    b"", b"{", b"[]", b"null", b'{"sizes": []}', b'{"sizes": {"k_block": 0}}',
    b'{"sizes": {"k_block": 1e3}}', b'{"sizes": {"k_block": true}}', b'{"sizes": {"strip": 17}}',
    b'{"sizes": {"k_block": 7, "k_block": 8}}', b'{"sizes": {"no_such": 7}}', b'{"other": {}}',
    b'{"sizes": {"k_block": NaN}}', b'{"sizes": {"k_block": -1}}', b'{"speeds": {}}',
    b'{"sizes": {"k_block": 1' + b"0" * 5000 + b"}}", b"\xff\xfe{}", b"[" * 60_000,
    b" " * (1 << 20),
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_told_once_and_the_rule_is_used(content, file):
    rule = current()
    sizes.of_machine.cache_clear()
    file.write_bytes(content)
    told = r"are not used: .*tuned\.json: .*python -m fastbp tune measures anew"
    with pytest.warns(UserWarning, match=told):
        assert current() == rule
    assert current() == rule
    assert sizes.of_machine().measured == frozenset()


def test_a_file_cut_short_anywhere(file):
    tuned.write({"sizes": {"k_block": 512}})
    content = file.read_bytes()
    for end in range(len(content)):
        file.write_bytes(content[:end])
        sizes.of_machine.cache_clear()
        with pytest.warns(UserWarning, match="are not used"):
            assert sizes.of_machine().measured == frozenset()


def test_a_folder_in_its_place(file):
    file.mkdir()
    with pytest.warns(UserWarning, match=r"tuned\.json"):
        assert sizes.of_machine().measured == frozenset()


def test_another_processor_or_other_caches_have_another_file(monkeypatch):
    paths = {tuned.path()}
    monkeypatch.setattr(tuned, "caches", lambda: Caches(l1=7))
    paths.add(tuned.path())
    monkeypatch.setattr(tuned, "processor", lambda *more: f"another{len(more)}")
    paths.add(tuned.path())
    assert len(paths) == 3


def test_no_folder_for_kernels(monkeypatch):
    monkeypatch.setattr(tuned, "find_cache", lambda: (None, "it is full"))
    assert tuned.path() is None
    assert tuned.read() == {}
    for change in (tuned.forget, tuned.check_place, lambda: tuned.write({})):
        with pytest.raises(OSError, match="it is full"):
            change()


def test_a_failed_write_leaves_the_file_as_it_was(file):
    tuned.write({"sizes": {"k_block": 512}})
    before = file.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        tuned.write({"sizes": {"k_block": float("nan")}})
    assert file.read_bytes() == before
    assert json.loads(before) == {"sizes": {"k_block": 512}}
    assert list(file.parent.iterdir()) == [file]
