"""How many cores this process may use."""

import functools
import os
from pathlib import Path


def available_cores() -> int:
    """How many cores this process may use: its affinity mask and its cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cgroup_quota()))


@functools.cache  # to read the files takes as long as to predict a hundred rows
def _cgroup_quota() -> int:
    """Whole cores that the control group grants, or a large number where there is no limit."""
    unlimited = 1 << 20
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota == "max":
            return unlimited
    except (OSError, ValueError):
        folder = Path("/sys/fs/cgroup/cpu")
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return unlimited
    granted = int(quota) / int(period)
    return max(1, int(granted)) if granted > 0 else unlimited
