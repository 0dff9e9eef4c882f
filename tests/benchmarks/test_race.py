"""The race: its contenders learn the same, its tables tell what was found, its errors are clear."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import expect
import pytest

import fastbp

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("PYTHONPATH", str(Path(fastbp.__file__).parents[1]), prepend=os.pathsep)
        yield


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "race.py"), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def result(**changes):
    """Return what a race of three contenders might find; the peers' times in us are given."""
    from race_report import Result
    from suite.workloads import WORKLOADS

    return Result(
        **{
            "name": "digits",
            "workload": WORKLOADS["digits"],
            "threads": 2,
            "peak": 100.0,
            "steps": 256,
            "losses": {"fastbp": 0.5, "torch": 0.5002, "jax-scan": 0.4999},
            "rounds": {
                "fastbp": [50e-6, 40e-6, 45e-6],
                "torch": [300e-6, 250e-6, 320e-6],
                "jax-scan": [90e-6, 80e-6, 85e-6],
            },
            "impossible": {"sklearn": "it has no such thing"},
        }
        | changes
    )


def losses(worker, workload, epochs):
    worker.prepare(workload)
    first = worker.loss()
    assert worker.run(epochs) > 0
    return first, worker.loss()


def short(name, **changes):
    from suite.workloads import WORKLOADS

    return dataclasses.replace(WORKLOADS[name], **changes)


def test_contenders_learn_the_same():
    pytest.importorskip("sklearn")
    from contenders.process import Worker

    with Worker("fastbp", 1) as ours, Worker("sklearn", 1) as peer:
        for name, changes in (
            ("tiny", {"steps": 200}),
            ("tiny", {"steps": 20, "optimizer": "adam"}),
            ("expm", {"steps": 20, "batch_size": 50}),
            ("digits", {"steps": 20, "batch_size": 50}),
        ):
            workload = short(name, **changes)
            first, last = losses(ours, workload, 2)
            assert last < 0.99 * first, workload
            found = losses(peer, workload, 2)
            assert found == pytest.approx((first, last), rel=2e-4), workload


def test_a_contender_that_trains_half_as_long_disagrees():
    from contenders.process import Worker

    workload = short("tiny", steps=200)
    with Worker("fastbp", 1) as worker:
        found = {"fastbp": losses(worker, workload, 2)[1], "torch": losses(worker, workload, 1)[1]}
    assert set(result(losses=found).disagreeing()) == {"fastbp", "torch"}


def test_a_worker_takes_another_workload():
    from contenders.process import Worker

    with Worker("fastbp", 1) as worker:
        for width in (8, 9, 8):
            worker.prepare(short("tiny", layers=(2, width, 1), steps=4))
            worker.run(1)
            assert worker.loss() == worker.loss()


def test_what_a_library_cannot_do_is_not_possible():
    pytest.importorskip("sklearn")
    from contenders.process import NotPossibleError, Worker

    with Worker("sklearn", 1) as worker:
        with expect.raises(NotPossibleError, "rmsprop"):
            worker.prepare(short("kann"))
        with expect.raises(NotPossibleError, "two classes one output"):
            worker.prepare(short("digits", layers=(64, 10, 2)))
        with expect.raises(NotPossibleError, "gelu"):
            worker.prepare(short("digits", activation="gelu"))
        worker.prepare(short("digits", steps=2))


def test_a_contender_that_fails_says_how():
    from contenders.process import Worker, WorkerError

    with Worker("fastbp", 1) as worker:
        with expect.raises(WorkerError, "AttributeError", "loss"):
            worker.loss()  # nothing is prepared yet
        worker.prepare(short("tiny", steps=4))
    with Worker("nonsense", 1) as worker, expect.raises(WorkerError, "KeyError", "nonsense"):
        worker.prepare(short("tiny", steps=4))


def test_a_contender_whose_process_ends_says_so():
    from contenders.process import Worker, WorkerError

    # Not a whole number: the process cannot start.
    with Worker("fastbp", 1.5) as worker, expect.raises(WorkerError, "exit code 1", "'1.5'"):
        worker.prepare(short("tiny", steps=4))


def test_ratio_and_share_are_of_the_best_rounds():
    found = result()
    assert found.best_peer == "jax-scan"
    assert found.ratio == pytest.approx(2)
    assert found.floor == pytest.approx(found.workload.flops / 200e9)
    alone = result(rounds={"fastbp": [1e-6]})
    assert (alone.best_peer, alone.ratio) == (None, None)
    assert result(rounds={"torch": [1e-6]}).ratio is None


def test_table():
    from race_report import notes, table

    head, rule, row = table([result()], ["fastbp", "torch", "jax-scan", "sklearn"])
    cells = row.strip("| ").split(" | ")
    assert len(cells) == head.count("|") - 1 == rule.count("---")
    share = 100 * result().floor / 40e-6
    assert cells[2:] == [
        *("40.0 (45.0)", "250 (300)", "80.0 (85.0)", "-"),
        *("**2.00**", f"{share:.1f} %"),
    ]
    assert cells[1] == "64-100-10 relu, cross-entropy, adam, batch 200"
    assert notes([result(), result(name="kann")])[1:] == [
        "scikit-learn in digits, kann: not possible: it has no such thing."
    ]


def test_table_without_fastbp():
    from race_report import block, table

    found = result(rounds={"torch": [1e-6]})
    assert table([found], ["torch"])[-1].endswith("| - | - |")
    assert any(re.match(r"  torch .* -  0\.5002$", line) for line in block(found))


@pytest.mark.parametrize(
    ("us", "text"),
    [(0.71849, "0.718"), (9.996, "10.0"), (12.34, "12.3"), (99.96, "100"), (52766.4, "52766")],
)
def test_times_have_three_digits(us, text):
    from race_report import microseconds

    assert microseconds(us * 1e-6) == text


def test_block_names_all():
    from race_report import block

    found = result(failed={"keras": "ValueError: it fell"})
    text = "\n".join(block(found))
    assert re.search(r"fastbp +40\.0 +45\.0 .* 1\.00 +0\.5\b", text)
    assert re.search(r"torch +250 +300 .* 6\.25 +0\.5002\b", text)
    assert re.search(r"scikit-learn +not possible: it has no such thing", text)
    assert re.search(r"Keras +FAILED: ValueError: it fell", text)
    assert "DISAGREES" not in text


@pytest.mark.parametrize("loss", [0.506, 0.494, math.nan, math.inf])
def test_disagreement_is_named(loss):
    from race_report import agreement, block

    wrong = result(losses={"fastbp": 0.5, "torch": loss, "jax-scan": 0.5001, "sklearn": 0.5})
    (line,) = agreement([result(), wrong])
    for part in ("DISAGREES", "torch", "digits", f"{loss:.6g}", "256 steps", "0.5", "1 %"):
        assert part in line
    assert [" torch" in line for line in block(wrong) if "DISAGREES" in line] == [True]


def test_agreement_states_the_tolerance_and_the_farthest():
    from race_report import agreement

    (line,) = agreement(
        [result(), result(losses={"fastbp": 0.5, "torch": 0.502, "keras": 0.5}, steps=64)]
    )
    for part in ("All learn the same", "64 to 256 steps", "1 %", "0.4 %", "torch in digits"):
        assert part in line


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--threads", "0"], ["--threads", "0", "at least 1"]),
        (["--threads", "two"], ["--threads", "two"]),
        (["--threads", "99999"], ["--threads", "99999", "cores"]),
        (["--only", "huge"], ["--only", "huge", "tiny"]),
        (["--contenders", "numpy"], ["--contenders", "numpy", "jax-scan"]),
        (["--rounds", "0"], ["--rounds", "0", "at least 1"]),
        (["--seconds", "0"], ["--seconds", "0", "above 0"]),
        (["--seconds", "nan"], ["--seconds", "nan", "above 0"]),
        (["--plot", "race.svg"], ["--plot", "race.svg", ".png"]),
        (["--plot", "no/such/race.png"], ["--plot", "race.png", "no such folder"]),
        (["--json", "no/such/race"], ["--json", "race", "no such folder"]),
    ],
)
def test_bad_arguments(arguments, parts, capsys):
    import race

    with pytest.raises(SystemExit, match="2"):
        race.parse(arguments)
    assert re.search("(?s)" + ".*".join(map(re.escape, parts)), capsys.readouterr().err)


def test_a_race(tmp_path):
    pytest.importorskip("sklearn")
    done = run(
        *("--only", "kann", "tiny", "--contenders", "sklearn", "fastbp"),
        *("--rounds", 2, "--seconds", 0.001, "--markdown", "--json", tmp_path / "race.json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("| workload | network | fastbp | scikit-learn | best peer")
    assert re.search(r"^\| tiny \|.* \*\*[\d.]+\*\* \| [\d.]+ % \|$", done.stdout, re.M)
    assert re.search(r"^\| kann \|.* \| - \| - \| [\d.]+ % \|$", done.stdout, re.M)
    assert "scikit-learn in kann: not possible: its MLP has no rmsprop" in done.stdout
    assert "All learn the same" in done.stdout
    tiny, kann = json.loads((tmp_path / "race.json").read_text(encoding="utf-8"))["results"]
    assert {name: len(times) for name, times in tiny["rounds"].items()} == {
        "fastbp": 2,
        "sklearn": 2,
    }
    assert list(kann["rounds"]) == ["fastbp"]


def test_contenders_take_turns_and_one_that_fails_is_left_out(monkeypatch):
    import race
    from contenders.process import WorkerError

    runs = []

    class Fake:
        def __init__(self, name, threads):
            self.name = name

        def prepare(self, workload):
            pass

        def run(self, epochs):
            runs.append((self.name, epochs))
            if self.name == "keras" and len(runs) > 10:
                raise WorkerError("it fell")
            return 0.25 * epochs

        def loss(self):
            return 0.5

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

    monkeypatch.setattr(race, "Worker", Fake)
    names = ["fastbp", "torch", "keras"]
    options = race.parse(["--rounds", "4", "--seconds", "1", "--contenders", *names])
    told = []
    found = race.race("wide", names, options, told.append)
    assert runs[:6] == [(name, epochs) for name in names for epochs in (8, 1)]  # 24 steps, then 3
    turns = ["fastbp torch keras", "torch keras fastbp", "fastbp torch", "torch fastbp"]
    assert runs[6:] == [(name, 4) for turn in turns for name in turn.split()]
    assert found.failed == {"keras": "it fell"}
    assert list(found.rounds) == ["fastbp", "torch"]
    assert found.rounds["torch"] == [pytest.approx(0.25 / 3)] * 4
    assert found.steps == 24
    assert len(told) == 3 + 4


def test_an_absent_contender_is_named(monkeypatch, capsys):
    import contenders
    import race

    absent = contenders.CONTENDERS["torch"]._replace(packages=("no-such-package",))
    monkeypatch.setitem(contenders.CONTENDERS, "torch", absent)
    assert race.main(["--contenders", "torch"]) == 2
    printed = capsys.readouterr().err
    assert "torch: absent, `pip install no-such-package`" in printed
    assert "no contender is left" in printed
