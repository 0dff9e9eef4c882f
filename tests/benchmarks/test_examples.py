"""The examples, README's among them, each run as a user does: in a process of its own."""

import gzip
import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from idx_files import write_fashion_mnist, write_idx

import fastbp

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(arguments, folder):
    """Run Python with `arguments` in `folder`, importing the fastbp that is under test."""
    paths = [str(Path(fastbp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def succeed(arguments, folder):
    """Return what `run` printed on stdout and stderr, having checked that it succeeded."""
    done = run(arguments, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


def number(pattern, text):
    """Return the one number that `pattern`'s group finds in `text`."""
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return float(found.replace(",", ""))


def test_digits(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("sklearn")
    folder = tmp_path / "made" / "here"
    output, progress = succeed([EXAMPLES / "digits.py", "--output", folder], tmp_path)
    assert number(r"test accuracy ([\d.]+) %", output) >= 97
    assert number(r"([\d,]+) samples per second", output) > 0
    assert "40/40" in progress
    picture = plt.imread(folder / "curves.png")
    assert picture.std() > 0.01
    net = fastbp.load(folder / "model.safetensors")
    assert net.predict(np.zeros((3, 64))).shape == (3, 10)


def test_fashion_mnist(tmp_path):
    write_fashion_mnist(tmp_path)
    script = [EXAMPLES / "fashion_mnist.py", "--data", tmp_path]
    output, _ = succeed([*script, "--epochs", 3, "--batch-size", 20], tmp_path)
    assert re.findall(r"^epoch +(\d+): .*test accuracy", output, re.MULTILINE) == ["1", "2", "3"]
    assert number(r"^test accuracy ([\d.]+) %$", output.splitlines()[-1]) > 95


def test_fashion_mnist_without_data(tmp_path):
    done = run([EXAMPLES / "fashion_mnist.py"], tmp_path)
    assert done.returncode == 2
    assert "--data" in done.stderr
    done = run([EXAMPLES / "fashion_mnist.py", "--data", tmp_path], tmp_path)
    assert done.returncode == 2
    assert "train-images-idx3-ubyte.gz" in done.stderr


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-1], "needs 6 bytes, the file holds 5"),
        (lambda raw: raw + b"x", "needs 6 bytes, the file holds 7"),
        (lambda raw: raw[:9], "ends within its header of 12 bytes"),
        (lambda raw: b"\0\0\x0d" + raw[3:], "no IDX file of unsigned bytes, starts with 00000d02"),
        (lambda raw: b"", "no IDX file of unsigned bytes"),
    ],
)
def test_damaged_idx_file(tmp_path, damage, message):
    read_idx = runpy.run_path(str(EXAMPLES / "fashion_mnist.py"))["read_idx"]
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    path = tmp_path / "array.gz"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)
    path.write_bytes(gzip.compress(damage(gzip.decompress(path.read_bytes()))))
    with pytest.raises(ValueError, match=message):
        read_idx(path)


@pytest.mark.parametrize("keep", [slice(0, -4), slice(4, None)])
def test_damaged_gzip_file(tmp_path, keep):
    read_idx = runpy.run_path(str(EXAMPLES / "fashion_mnist.py"))["read_idx"]
    path = tmp_path / "array.gz"
    write_idx(path, np.arange(6, dtype=np.uint8))
    path.write_bytes(path.read_bytes()[keep])
    with pytest.raises(ValueError, match="not a whole gzip file"):
        read_idx(path)


def test_xor(tmp_path):
    output, _ = succeed([EXAMPLES / "xor.py"], tmp_path)
    answers = re.findall(r"(\d) xor (\d) = ([\d.]+)", output)
    assert len(answers) == 4
    for left, right, answer in answers:
        assert round(float(answer)) == int(left) ^ int(right)


def test_data_kinds(tmp_path):
    output, _ = succeed([EXAMPLES / "data_kinds.py"], tmp_path)
    errors = dict(re.findall(r"^(.+?) +mean squared error ([\d.]+)$", output, re.MULTILINE))
    assert float(errors.pop("a stream")) < 0.05
    kinds = {"NumPy", "a map", "batches"}
    kinds |= {name for name in ("pandas", "polars", "pyarrow", "torch") if find_spec(name)}
    assert errors.keys() == kinds
    assert len(set(errors.values())) == 1
    assert float(errors["NumPy"]) < 0.01
    assert number(r"^bytes +accuracy ([\d.]+)", output) > 0.8
    assert not find_spec("scipy") or number(r"sparse +accuracy ([\d.]+)", output) > 0.9
    assert "told: X must have shape (rows, 3)" in output


def test_training_features(tmp_path):
    pytest.importorskip("sklearn")
    output, _ = succeed([EXAMPLES / "training_features.py"], tmp_path)
    assert number(r"at most ([\d.]+)", output) == 0.005
    assert number(r"^test accuracy ([\d.]+)$", output) > 0.95
    assert number(r"^val_loss has not improved for 5 epochs; .* accuracy ([\d.]+)$", output) > 0.95
    assert number(r"top_2_accuracy ([\d.]+)$", output) > 0.97
    plain, balanced = map(float, re.findall(r"class_weight=.* finds ([\d.]+) of", output))
    assert plain + 0.1 < balanced
    error, variance = re.findall(r"pixels ([\d.]+), their variance ([\d.]+)", output)[0]
    assert float(error) < 0.5 * float(variance)
    assert "6 epochs, of which 3 before the break; the same bits: True" in output
    assert list(tmp_path.iterdir()) == []


def test_scikit_learn_pipeline(tmp_path):
    pytest.importorskip("sklearn")
    output, errors = succeed([EXAMPLES / "scikit_learn_pipeline.py", "--jobs", 1], tmp_path)
    assert errors == ""
    theirs, ours, _ = output.splitlines()
    assert theirs.startswith("scikit-learn ")
    assert ours.startswith("fastbp ")
    best = r" +(\{.*\}), accuracy ([\d.]+) in the folds, ([\d.]+) on test images, [\d.]+ s$"
    found = re.search(best, ours).groups()
    assert re.search(best, theirs).groups() == found
    assert float(found[2]) > 0.96
    assert number(r"^scikit-learn / fastbp: ([\d.]+)$", output) >= 0


def test_sweep(tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    output, errors = succeed([EXAMPLES / "sweep.py"], tmp_path)
    assert errors == ""
    assert re.findall(r"^(\d) .* 45 ", output, re.MULTILINE)[0] == "1"
    assert number(r"^(\d+) configurations, \d+ epochs in all, [\d.]+ s$", output) == 60
    assert number(r"^accuracy on test images ([\d.]+)$", output) > 0.96
    assert number(r"^in ten folds ([\d.]+), deviation 0\.\d+$", output) > 0.96
    assert number(r"^(\d+) of 1797 images taken for another digit", output) < 72


def test_cartpole(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    script = [EXAMPLES / "cartpole.py", "--plot", tmp_path / "curve.png"]
    output, _ = succeed(script, tmp_path)
    assert number(r"^episodes +1 to +100: mean return +([\d.]+)$", output) < 100
    assert number(r"^mean return of the last 100 episodes: ([\d.]+)$", output) >= 475
    assert plt.imread(tmp_path / "curve.png").std() > 0.01


def test_neural_ode(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    script = [EXAMPLES / "neural_ode.py", "--updates", 1000, "--plot", tmp_path / "fit.png"]
    output, _ = succeed(script, tmp_path)
    assert number(r"([\d.]+) where observed$", output) < 0.1
    assert number(r"([\d.]+) in as much time after that$", output) < 0.5
    assert plt.imread(tmp_path / "fit.png").std() > 0.01


def test_optuna_pruning(tmp_path):
    pytest.importorskip("optuna")
    pytest.importorskip("sklearn")
    script = [EXAMPLES / "optuna_pruning.py", "--trials", 12, "--epochs", 12]
    output, _ = succeed(script, tmp_path)
    assert number(r"([\d,]+) of 144 epochs were trained", output) < 144
    assert number(r"(\d+) of them pruned", output) > 0
    assert number(r"validation accuracy ([\d.]+) %", output) > 90


def test_readme_examples(tmp_path):
    # The later ones go on with what the first has made.
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    (tmp_path / "examples.py").write_text("".join(examples), "utf-8")  # whose source is read
    succeed(["examples.py"], tmp_path)
    written = {path.name for path in tmp_path.iterdir()} - {"examples.py"}
    assert written == {"model.safetensors", "fit.safetensors", "log.csv", "ensemble.safetensors"}
