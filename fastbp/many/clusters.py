"""The workers of Dask and of Ray."""

import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any

from fastbp.many import workers
from fastbp.many.executors import Workers
from fastbp.many.workers import Told

RETRIES = 1  # times that Ray begins a share again by itself


class DaskWorkers(Workers):
    """The workers of a Dask cluster, each with one share at a time.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster; not one that is asynchronous.
    executor : distributed.ClientExecutor, optional
        By which the user wants shares to be submitted.
    """

    break_together, scatters = False, True

    def __init__(self, client: Any, executor: Any = None) -> None:
        if client.asynchronous:
            raise ValueError("workers is an asynchronous Client of Dask; pass one that is not")
        self._client, self._executor = client, executor or client.get_executor()
        self.name = "Dask"
        known = self._known()
        if not known:
            raise ValueError("workers is a Client of Dask whose cluster has no worker")
        self.count = len(known)
        self.granted = min(worker["nthreads"] for worker in known.values())

    def _known(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return found

    def submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = self._executor.submit(work, *arguments, pure=False)
        return future

    def told(self, folder: str) -> list[Told]:
        known = self._known()
        return [
            told._replace(limit=known.get(address, {}).get("memory_limit") or None)
            for address, told in self._client.run(workers.tell, folder).items()
        ]

    def carried(self, data: Any) -> Any:
        return self._client.scatter(data, broadcast=True)

    def lost(self, error: BaseException) -> bool:
        names = {one.__name__ for one in type(error).mro()}
        return bool(names & {"KilledWorker", "CancelledError", "FutureCancelledError"})

    def renewed(self) -> bool:
        return bool(self._known()) or self._client.status == "running"


class RayWorkers(Workers):
    """Tasks of Ray.

    Parameters
    ----------
    count : int or None
        How many at a time; None for as many as there are CPUs for.
    threads : int or None
        CPUs of each; None for one.
    options : dict, optional
        What the tasks are made with besides.
    """

    break_together, scatters = False, True

    def __init__(
        self, count: int | None, threads: int | None, options: dict[str, Any] | None = None
    ) -> None:
        self._ray: Any = sys.modules.get("ray")
        ray = self._ray
        if ray is None or not ray.is_initialized():
            raise RuntimeError("workers is Ray, which is not connected: call ray.init before")
        options = {"num_cpus": threads or 1, "max_retries": RETRIES} | (options or {})
        self._options = options
        cpus, each = ray.cluster_resources().get("CPU", 0), max(1, int(options["num_cpus"]))
        self.name, self.granted = "Ray", each
        self.count = count or int(cpus) // each
        if self.count < 1:
            raise ValueError(f"Ray has {cpus:g} CPUs, and each worker is to have {each}")

    def submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        task = _of_ray(work).options(**self._options)
        future: Future[Any] = task.remote(*arguments).future()
        return future

    def carried(self, data: Any) -> Any:
        return self._ray.put(data)

    def lost(self, error: BaseException) -> bool:
        ended = {
            "WorkerCrashedError",
            "NodeDiedError",
            "OutOfMemoryError",
            "LocalRayletDiedError",
            "ObjectLostError",
        }
        return any(
            one.__module__.startswith("ray.") and one.__name__ in ended for one in type(error).mro()
        )

    def renewed(self) -> bool:
        return bool(self._ray.is_initialized())


@cache
def _of_ray(work: Callable[..., Any]) -> Any:
    """The function as a task: one for all shares, since Ray keeps each on the cluster."""
    return sys.modules["ray"].remote(work)
