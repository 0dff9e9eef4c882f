"""Training on sparse rows: time and memory, beside scikit-learn's MLPClassifier.

    python benchmarks/sparse.py [--rows 20000] [--columns 50000] [--density 0.001] [--peer]

Makes a CSR matrix of random entries, trains one hidden layer on it with Adam, and prints seconds an
epoch, microseconds a step and the peak memory of the process. Each contender runs in a process of
its own, one after the other; --rounds times, of which the best counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import scipy.sparse


def problem(options):
    """A CSR matrix of float32 and labels that some of its columns decide."""
    rng = np.random.default_rng(0)
    X = scipy.sparse.random(
        options.rows, options.columns, options.density, "csr", np.float32, random_state=rng
    )
    scores = X @ rng.standard_normal((options.columns, options.classes)).astype(np.float32)
    return X, scores.argmax(axis=1)


def fastbp_seconds(X, y, options):
    """Seconds of each epoch, after one that compiles."""
    import fastbp

    net = fastbp.Network(
        [X.shape[1], options.hidden, options.classes], loss="cross_entropy",
        optimizer=fastbp.Adam(1e-3), rng=0, threads=options.threads,
    )  # fmt: skip
    found = []
    for _ in range(1 + options.epochs):
        start = time.perf_counter()
        net.fit(X, y, epochs=1, batch_size=options.batch, progress=False)
        found.append(time.perf_counter() - start)
    return found[1:], net.evaluate(X, y)["loss"]


def sklearn_seconds(X, y, options):
    """The same for scikit-learn, by its partial_fit: one epoch a call."""
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    net = MLPClassifier(
        [options.hidden], alpha=0.0, batch_size=options.batch, learning_rate_init=1e-3,
        random_state=0,
    )  # fmt: skip
    found = []
    with threadpool_limits(options.threads):
        for _ in range(1 + options.epochs):
            start = time.perf_counter()
            net.partial_fit(X, y, classes=np.arange(options.classes))
            found.append(time.perf_counter() - start)
    return found[1:], net.loss_


CONTENDERS = {"fastbp": fastbp_seconds, "scikit-learn": sklearn_seconds}


def run(name, options):
    """What one contender needs, as a dictionary; in this process."""
    X, y = problem(options)
    seconds, loss = CONTENDERS[name](X, y, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": min(seconds), "loss": float(loss),
        "megabytes": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10),
    }  # fmt: skip


def main(arguments=None):
    """Run all contenders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in {
        "rows": 20_000, "columns": 50_000, "classes": 10, "hidden": 100, "batch": 128,
        "epochs": 3, "threads": 1, "rounds": 2,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--density", type=float, default=0.001)
    parser.add_argument("--only", choices=CONTENDERS, help="run this one, in this process")
    options = parser.parse_args(arguments)
    if options.only:
        print(json.dumps(run(options.only, options)))
        return
    given = sys.argv[1:] if arguments is None else list(arguments)
    found = {name: [] for name in CONTENDERS}
    for _ in range(options.rounds):
        for name, results in found.items():
            done = subprocess.run(
                [sys.executable, __file__, *given, "--only", name],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            results.append(json.loads(done.stdout))
    steps = -(-options.rows // options.batch)
    best = {}
    print(
        f"{options.rows} x {options.columns} CSR of {100 * options.density:g} %, "
        f"{options.columns}-{options.hidden}-{options.classes} relu, cross-entropy, adam, "
        f"batch {options.batch}, {options.threads} thread(s), best of {options.rounds} rounds"
    )
    for name, results in found.items():
        best[name] = min(result["seconds"] for result in results)
        print(
            f"{name:12s} {best[name]:8.3f} s an epoch, {best[name] / steps * 1e6:9.0f} us a step, "
            f"peak memory {max(result['megabytes'] for result in results):6.0f} MB, "
            f"loss {results[0]['loss']:.3f}"
        )
    print(f"scikit-learn / fastbp: {best['scikit-learn'] / best['fastbp']:.1f}")


if __name__ == "__main__":
    main()
