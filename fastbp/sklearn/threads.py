"""How many threads a fit may use: its share where joblib runs others beside it."""

import os
import threading

from joblib.parallel import get_active_backend


def budget(threads: int | None) -> int | None:
    """Threads for a network.

    Parameters
    ----------
    threads : int or None
        As the user asked for; he knows.

    Returns
    -------
    int or None
        None for as many as help. In a worker of joblib, what joblib grants its processes, and one
        in its threads.
    """
    if threads is not None:
        return int(threads)
    backend, _ = get_active_backend()
    if not getattr(backend, "nesting_level", 0):
        return None
    if threading.current_thread() is not threading.main_thread():
        return 1
    granted = os.environ.get("NUMBA_NUM_THREADS", "")  # joblib sets it in its processes
    return max(1, int(granted)) if granted.isdigit() else 1
