"""The process of one contender: answers requests, one line of JSON each, until its input ends.

``python -m contenders.worker NAME THREADS``; `process.Worker` starts it and speaks to it.
"""

import contextlib
import importlib
import json
import os
import sys
import time

from suite.workloads import Workload

from . import CONTENDERS, MANY, ROUNDED
from .base import NotPossibleError


def serve(name, threads, requests, answers):
    """Answer each line of `requests` with a line in `answers`."""
    contestant = None
    for line in requests:
        request = json.loads(line)
        answer = {}
        try:
            if request["do"] == "prepare":
                entry = (CONTENDERS | MANY | ROUNDED)[name]
                module = importlib.import_module(f"contenders.{entry.module}")
                workload = Workload(**request["workload"])
                contestant = None  # frees its memory
                contestant = module.Contestant(workload, threads)
            elif request["do"] == "run":
                start = time.perf_counter()
                contestant.run(request["epochs"])
                answer["seconds"] = time.perf_counter() - start
            elif request["do"] == "count":
                answer["count"] = contestant.count
            else:
                answer["loss"] = contestant.loss()
        except NotPossibleError as error:
            answer["impossible"] = str(error)
        except Exception as error:  # noqa: BLE001 - the parent tells of it and goes on with others
            answer["failed"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)


def main():
    """Serve on standard input and output; what a library prints goes to standard error."""
    name, threads = sys.argv[1], int(sys.argv[2])
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        with contextlib.suppress(KeyboardInterrupt):
            serve(name, threads, sys.stdin, answers)


if __name__ == "__main__":
    main()
