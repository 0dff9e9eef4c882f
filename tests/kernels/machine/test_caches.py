"""The caches as each system tells them, from folders and records that look like theirs."""

import ctypes
import struct

import pytest

from fastbp.kernels.machine import caches
from fastbp.kernels.machine.caches import KIB, USUAL, Caches

MB = KIB * KIB
# level, type, size, line, shared_cpu_list
ZEN_5 = [
    ("1", "Data", "48K", "64", "0"),
    ("1", "Instruction", "32K", "64", "0"),
    ("2", "Unified", "1024K", "64", "0"),
    ("3", "Unified", "32768K", "64", "0-1"),
]
EMERALD_RAPIDS = [  # two threads a core
    ("1", "Data", "48K", "64", "0,32"),
    ("1", "Instruction", "32K", "64", "0,32"),
    ("2", "Unified", "2048K", "64", "0,32"),
    ("3", "Unified", "262144K", "64", "0-63"),
]
GRAVITON = [("1", "Data", "64K", "64", "0"), ("2", "Unified", "1M", "64", "0")]
SMALL_CORES = [  # share an L2 cache, and there is no L3
    ("1", "Data", "32K", "64", "0"),
    ("2", "Unified", "2M", "64", "0-3"),
]


def folder_of(path, told):
    names = "level", "type", "size", "coherency_line_size", "shared_cpu_list"
    for number, values in enumerate(told):
        one = path / f"index{number}"
        one.mkdir()
        for name, value in zip(names, values, strict=True):
            if value is not None:
                (one / name).write_text(f"{value}\n")
    (path / "uevent").write_text("")
    return path


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (ZEN_5, Caches(48 * KIB, MB, 32 * MB, 64, 1, 2)),
        (EMERALD_RAPIDS, Caches(48 * KIB, 2 * MB, 256 * MB, 64, 1, 32)),
        (GRAVITON, Caches(64 * KIB, MB, 0, 64)),
        (SMALL_CORES, Caches(32 * KIB, 2 * MB, 0, 64, 4)),
        ([("1", "Data", None, None, None), ("2", "Unified", None, None, None)], Caches()),
        ([], Caches()),
    ],
)
def test_linux(told, found, tmp_path):
    assert caches.of_sysfs(folder_of(tmp_path, told)) == found


def test_shares_of_cores(tmp_path):
    found = caches.of_sysfs(folder_of(tmp_path, EMERALD_RAPIDS))
    assert (found.l2_share, found.l3_share) == (2 * MB, 8 * MB)
    (tmp_path / "small").mkdir()
    found = caches.of_sysfs(folder_of(tmp_path / "small", SMALL_CORES))
    assert (found.l2_share, found.l3_share) == (MB // 2, 0)


@pytest.mark.parametrize(
    ("text", "size"), [("48K", 48 * KIB), ("32M", 32 * MB), ("512", 512), ("1G", KIB * MB), ("", 0)]
)
def test_sizes(text, size):
    assert caches.bytes_of(text) == size


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0-3,8,10-11", 7), ("0,32", 2), ("", 1)])
def test_lists_of_processors(text, count):
    assert caches.count_of(text) == count


def test_what_is_not_told_is_usual():
    assert caches.with_usual(Caches()) == USUAL
    assert caches.with_usual(Caches(l1=65536, line=128)) == USUAL._replace(l1=65536, line=128)
    told = Caches(48 * KIB, MB, line=64)
    assert caches.with_usual(told) == told


@pytest.fixture
def asked(monkeypatch):
    """A function: what `caches` finds anew."""
    return caches.caches.__wrapped__


def test_a_system_that_tells_nonsense(asked, monkeypatch, tmp_path):
    folder = folder_of(tmp_path, [("1", "Data", "large", "64", "0")])
    monkeypatch.setattr(caches.sys, "platform", "linux")
    monkeypatch.setattr(caches, "SYSFS", folder)
    assert asked() == USUAL


def test_glibc_where_sysfs_is_hidden(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(caches.sys, "platform", "linux")
    monkeypatch.setattr(caches, "SYSFS", tmp_path / "none")
    monkeypatch.setattr(caches.os, "cpu_count", lambda: 4)
    numbers = dict(zip(caches.GLIBC, (48 * KIB, 64, MB, 8 * MB), strict=True))
    monkeypatch.setattr(caches.os, "sysconf", numbers.__getitem__, raising=False)
    monkeypatch.setattr(caches.platform, "libc_ver", lambda: ("glibc", "2.36"))
    assert asked() == Caches(48 * KIB, MB, 8 * MB, 64, 1, 4)
    monkeypatch.setattr(caches.platform, "libc_ver", lambda: ("", ""))
    assert asked() == USUAL


APPLE = {
    "hw.perflevel0.l1dcachesize": 128 * KIB, "hw.perflevel0.l2cachesize": 12 * MB,
    "hw.perflevel0.cpusperl2": 4, "hw.cachelinesize": 128, "hw.physicalcpu": 8,
    "hw.l1dcachesize": 64 * KIB, "hw.l2cachesize": 4 * MB,
}  # fmt: skip
INTEL_MAC = {
    "hw.l1dcachesize": 32 * KIB, "hw.l2cachesize": 256 * KIB, "hw.l3cachesize": 12 * MB,
    "hw.cachelinesize": 64, "hw.physicalcpu": 6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        (APPLE, Caches(128 * KIB, 12 * MB, 0, 128, 4, 8)),
        (INTEL_MAC, Caches(32 * KIB, 256 * KIB, 12 * MB, 64, 1, 6)),
    ],
)
def test_macos(numbers, found, asked, monkeypatch):
    class Library:
        @staticmethod
        def sysctlbyname(name, value, size, new, length):
            if name.decode() not in numbers:
                return -1
            ctypes.cast(value, ctypes.POINTER(ctypes.c_int64))[0] = numbers[name.decode()]
            return 0

    monkeypatch.setattr(caches.ctypes, "CDLL", lambda _: Library)
    monkeypatch.setattr(caches.sys, "platform", "darwin")
    assert asked() == found


def test_windows():
    def record(level, line, size, kind, mask):
        body = struct.pack("<BBHII18xHQ", level, 8, line, size, kind, 1, mask)
        return struct.pack("<II", 2, 8 + len(body) + 8) + body + bytes(8)

    records = b"".join(
        [
            record(1, 64, 48 * KIB, 2, 0b11),
            record(1, 64, 32 * KIB, 1, 0b11),  # of instructions
            record(2, 64, 2 * MB, 0, 0b11),
            record(1, 64, 32 * KIB, 2, 0b100),  # of another core
            record(2, 64, 4 * MB, 0, 0b111100),
            record(3, 64, 24 * MB, 0, 0b111111),
        ]
    )
    assert caches.of_windows_records(records) == Caches(48 * KIB, 2 * MB, 24 * MB, 64, 1, 3)
    assert caches.of_windows_records(b"") == Caches()


def test_as_a_text():
    assert str(Caches(48 * KIB, MB, 32 * MB, 64, 1, 2)) == "L1 48 KB, L2 1 MB, L3 32 MB of 2 cores"
    assert str(Caches(32 * KIB, 1280 * KIB, 0, 64, 4)) == "L1 32 KB, L2 1280 KB of 4 cores"
