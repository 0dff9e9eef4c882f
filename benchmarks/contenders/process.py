"""Worker: starts the process of one contender and speaks with it."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .base import NotPossibleError


class WorkerError(RuntimeError):
    """A contender failed; the message tells its error, or how its process ended."""


def environment(threads):
    """Return the variables that hold a process to so many threads, whatever its library."""
    count = str(threads)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "VECLIB_MAXIMUM_THREADS": count,
        "NPROC": count,  # XLA's
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
    }


class Worker:
    """One contender's process; a context manager, which ends it.

    Parameters
    ----------
    name : str
        Of CONTENDERS.
    threads : int
        How many threads it may use; `pin` says on which cores.
    """

    def __init__(self, name, threads):
        variables = environment(threads)
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "contenders.worker", name, str(threads)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )

    def _ask(self, **request):
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except OSError:  # it has ended: what it wrote tells why
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:]
            raise WorkerError(": ".join([f"its process ended with exit code {code}", *last]))
        answer = json.loads(line)
        if "impossible" in answer:
            raise NotPossibleError(answer["impossible"])
        if "failed" in answer:
            raise WorkerError(answer["failed"])
        return answer

    def prepare(self, workload):
        """Make data, initial weights and optimizer; NotPossibleError where the library cannot."""
        self._ask(do="prepare", workload=dataclasses.asdict(workload))

    def run(self, epochs):
        """Train for so many epochs; return their seconds."""
        return self._ask(do="run", epochs=epochs)["seconds"]

    def count(self):
        """Return how many of many networks it trains."""
        return self._ask(do="count")["count"]

    def loss(self):
        """Return the mean loss over all rows."""
        return self._ask(do="loss")["loss"]

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def cores():
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(threads):
    """Keep this process, and those that it starts, to the first `threads` of its cores.

    Returns these cores, or None where the system has no such call.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = cores()[:threads]
    os.sched_setaffinity(0, chosen)
    return chosen
