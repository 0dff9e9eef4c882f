"""Which workers a user means by `workers=`; packages that he has not imported are not, either."""

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np

from fastbp.many.clusters import DaskWorkers, RayWorkers
from fastbp.many.executors import Given, Loky, Processes, Workers
from fastbp.validation import positive_int, shown

ACCEPTED = (
    "workers must be a number of processes, a concurrent.futures.Executor of processes, a Client "
    'of Dask, a joblib.Parallel, "joblib" or "ray"'
)


def recognized(given: Any, threads: int | None) -> Workers:
    """The workers that were given; threads: how many each is to have.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        They are of no kind that can be used, or cannot be reached.
    """
    if isinstance(given, int | np.integer):
        return Processes(positive_int(given, "workers"))
    if isinstance(given, str):
        return _by_name(given, threads)
    if isinstance(given, ThreadPoolExecutor):
        raise TypeError(f"{ACCEPTED}; threads of this process are what threads= is for")
    if _is_of(given, "distributed", "ClientExecutor"):
        return DaskWorkers(given._client, given)
    if isinstance(given, Executor):
        return Given(given)
    if _is_of(given, "distributed", "Client"):
        return DaskWorkers(given)
    if _is_of(given, "joblib", "Parallel"):
        return _of_joblib(given._backend, given.n_jobs, threads)
    raise TypeError(f"{ACCEPTED}; got {shown(given)}")


def _by_name(name: str, threads: int | None) -> Workers:
    if name == "ray":
        return RayWorkers(None, threads)
    if name != "joblib":
        raise ValueError(f"{ACCEPTED}; got {name!r}")
    from joblib.parallel import get_active_backend

    backend, jobs = get_active_backend()
    return _of_joblib(backend, jobs, threads)


def _of_joblib(backend: Any, jobs: int | None, threads: int | None) -> Workers:
    """The workers behind a backend of joblib."""
    if _is_of(backend, "joblib", "DaskDistributedBackend"):
        return DaskWorkers(backend.client)
    if _is_of(backend, "ray", "RayBackend"):
        count = None if jobs is None or jobs < 0 else jobs
        return RayWorkers(count, threads, backend.ray_remote_args)
    if _is_of(backend, "joblib", "LokyBackend"):
        return Loky(backend.effective_n_jobs(backend.default_n_jobs if jobs is None else jobs))
    name = type(backend).__name__
    raise ValueError(
        f"workers is joblib's {name}, and only its backends loky, dask and ray can be used: "
        "threads are what threads= is for, and multiprocessing waits forever for a killed process"
    )


def _is_of(given: Any, package: str, name: str) -> bool:
    """Whether an object is of a class that a package defines, which need not be there."""
    return any(
        one.__name__ == name and one.__module__.split(".")[0] == package
        for one in type(given).mro()
    )
