"""Tests of how many cores a process may use: its affinity mask and its control group's quota."""

import functools
import os
from pathlib import Path

import pytest

from fastbp.kernels.machine import cores as module


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 6 usable cores whose control group files are written by the test."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(1, 12, 2)), raising=False)
    monkeypatch.setattr(module, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setattr(module, "_cgroup_quota", module._cgroup_quota.__wrapped__)

    def write(**files):
        for name, content in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000\n", 6),
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("900000 100000\n", 6),
        ("150000 50000\n", 3),
    ],
)
def test_cores_of_a_version_2_control_group(limit, cores, machine):
    machine(**{"cpu.max": limit})
    assert module.available_cores() == cores


@pytest.mark.parametrize(
    ("quota", "cores"), [("-1\n", 6), ("300000\n", 3), ("50000\n", 1), ("900000\n", 6)]
)
def test_cores_of_a_version_1_control_group(quota, cores, machine):
    machine(**{"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": "100000\n"})
    assert module.available_cores() == cores


def test_the_quota_is_read_once(machine, monkeypatch):
    monkeypatch.setattr(module, "_cgroup_quota", functools.cache(module._cgroup_quota))
    for limit in ("200000 100000", "300000 100000"):
        machine(**{"cpu.max": limit})
        assert module.available_cores() == 2


def test_cores_without_a_control_group(machine):
    assert module.available_cores() == 6


def test_cores_where_there_is_no_affinity(machine, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, cores in ((5, 5), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert module.available_cores() == cores


def test_cores_of_this_process():
    assert 1 <= module.available_cores() <= os.cpu_count()
    assert isinstance(module.Path("/"), Path)
