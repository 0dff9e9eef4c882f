"""Sizes measured: what wins, what noise does not change, and `python -m fastbp tune`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbp.__main__ import main
from fastbp.kernels.machine import sizes, tuned
from fastbp.kernels.machine.sizes import LEGAL, NEVER, current
from fastbp.tuning import experiments, measuring, tuning
from fastbp.tuning.experiments import EXPERIMENTS, Experiment, Work
from fastbp.tuning.measuring import best

A, B = Work((4, 8, 2), 16, 2), Work((6, 8, 2), 16, 2)
EXPERIMENT = Experiment("k_block", (0.5, 2, 4), (A, B))


@pytest.fixture
def file(monkeypatch, tmp_path):
    path = tmp_path / "tuned.json"
    monkeypatch.setattr(tuned, "path", lambda: path)
    sizes.of_machine.cache_clear()
    yield path
    sizes.of_machine.cache_clear()


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(measuring, "SECONDS", 0)


def chosen(seconds):
    """The K block that wins where a work takes `seconds(work, K block)`."""
    start = current()._replace(k_block=100)
    winner = best(EXPERIMENT, start, lambda work, table: seconds(work, table.k_block))
    assert winner._replace(k_block=100) == start
    return winner.k_block


def test_the_fastest_wins():
    assert chosen(lambda work, k: {50: 1.1, 100: 1.0, 200: 0.9, 400: 0.8}[k]) == 400
    assert chosen(lambda work, k: {50: 0.5, 100: 1.0, 200: 0.9, 400: 0.8}[k]) == 50


def test_nothing_changes_for_less_than_two_percent():
    assert chosen(lambda work, k: 1 - 0.019 * (k != 100)) == 100
    assert chosen(lambda work, k: 1 - 0.03 * (k == 200)) == 200


def test_nothing_changes_where_another_work_is_slower():
    assert chosen(lambda work, k: 0.5 if work == A and k == 50 else 1.0 + 0.03 * (k == 50)) == 100


def test_what_wins_once_has_to_win_again():
    calls = []

    def seconds(work, k):
        calls.append(k)
        return 0.5 if k == 200 and 50 in calls[-5:] else 1.0

    assert chosen(seconds) == 100
    assert len(calls) == 3 * 2 * (5 + 3)


def test_what_the_same_table_differs_by_is_noise():
    turns = {}

    def seconds(work, k):
        if k == 100:  # of its two turns in a round the second takes longer
            turns[work] = turns.get(work, 0) + 1
            return 1.0 if turns[work] % 2 else 1.2
        return 0.9 if k == 200 else 1.0

    assert chosen(seconds) == 100


@given(now=st.integers(0, 1 << 41), experiment=st.sampled_from(EXPERIMENTS))
def test_candidates_are_legal(now, experiment):
    least, most, of = LEGAL[experiment.field]
    value = min(max(now, least), most) // of * of
    table = current()._replace(**{experiment.field: value})
    for candidate in experiment.candidates(table):
        sizes.check(candidate)
        assert getattr(candidate, experiment.field) != value
        assert candidate._replace(**{experiment.field: value}) == table


def test_each_size_is_measured_once_by_some_work():
    fields = [experiment.field for experiment in EXPERIMENTS]
    assert len(set(fields)) == len(fields)
    assert all(one.works and (one.factors or one.values) for one in EXPERIMENTS)


@pytest.fixture
def small(monkeypatch):
    """Fewer and smaller experiments."""
    few = (EXPERIMENT, Experiment("strip", (0.5,), (A,)))
    monkeypatch.setattr(tuning, "EXPERIMENTS", few)
    return few


def test_tune_measures_shows_and_keeps(small, file, capsys):
    assert main(["tune"]) == 0
    out, err = capsys.readouterr()
    kept = json.loads(file.read_text())
    assert err.startswith("measuring: ")
    assert kept.keys() == {"sizes"}
    assert kept["sizes"].keys() == {"k_block", "strip"}
    lines = dict(line.split(maxsplit=1) for line in out.splitlines()[3:])
    for field, value in current()._asdict().items():
        number, source = lines[field].split(maxsplit=1)
        assert number == ("never" if value == NEVER else str(value))
        assert value == kept["sizes"].get(field, value)
        assert source.startswith("a measurement; " if field in kept["sizes"] else "the rule")
    assert out.endswith(f"kept in {file}\n")
    assert main(["tune", "--show"]) == 0
    assert capsys.readouterr().out == out
    assert main(["tune", "--forget"]) == 0
    assert not file.exists()
    assert "measurement" not in capsys.readouterr().out


def test_what_differs_from_the_rule_is_told(file, capsys):
    tuned.write({"sizes": {"k_block": current().k_block * 2}})
    sizes.of_machine.cache_clear()
    assert main(["tune", "--show"]) == 0
    half = current().k_block // 2
    assert f"a measurement; the rule has {half}" in capsys.readouterr().out


def test_tune_ignores_a_damaged_file(small, file, capsys):
    file.write_text("{")
    assert main(["tune"]) == 0
    assert "k_block" in json.loads(file.read_text())["sizes"]


def test_nothing_is_measured_that_cannot_be_kept(monkeypatch, capsys):
    monkeypatch.setattr(tuned, "find_cache", lambda: (None, "it is full"))
    monkeypatch.setattr(tuning, "measured", None)
    assert main(["tune"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\ncannot change what is kept beside the compiled kernels: it is full\n")


def test_an_interrupted_measurement_keeps_nothing(small, file, monkeypatch, capsys):
    tuned.write({"sizes": {"k_block": 512}})
    before = file.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "best", interrupted)
    assert main(["tune"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\ninterrupted: the sizes are those from before\n")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [["tun"], ["tune", "now"], ["tune", "--fast"], ["tune", "--show", "--forget"]]
)
def test_other_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m fastbp" in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["tune", "--help"])
    assert caught.value.code == 0
    assert "--show" in capsys.readouterr().out


def test_works_are_of_milliseconds():
    for work in {work for experiment in experiments.EXPERIMENTS for work in experiment.works}:
        pairs = zip(work.widths[:-1], work.widths[1:], strict=True)
        operations = 6 * work.batch * work.steps * sum(a * b for a, b in pairs)
        assert 2e7 < operations < 2e9
