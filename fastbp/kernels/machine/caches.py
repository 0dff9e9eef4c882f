"""The caches of the processor: how large they are, and how many cores share one."""

import contextlib
import ctypes
import functools
import os
import platform
import sys
from pathlib import Path
from typing import NamedTuple

SYSFS = Path("/sys/devices/system/cpu/cpu0/cache")
KIB = 1024
# _SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL1_DCACHE_LINESIZE, _SC_LEVEL2_CACHE_SIZE, ...: not every Python
# knows them by name.
GLIBC = 188, 190, 191, 194


class Caches(NamedTuple):
    """What the first core has; 0 where the system does not tell.

    l1: bytes of the data cache; l2, l3: bytes; line: bytes of a cache line; l2_cores, l3_cores: how
    many cores share one.
    """

    l1: int = 0
    l2: int = 0
    l3: int = 0
    line: int = 0
    l2_cores: int = 1
    l3_cores: int = 1

    def __str__(self) -> str:
        def told(name: str, size: int, cores: int) -> str:
            whole = f"{size // KIB**2} MB" if size % KIB**2 == 0 else f"{size // KIB} KB"
            return f"{name} {whole}" + (f" of {cores} cores" if cores > 1 else "")

        levels = [told("L1", self.l1, 1), told("L2", self.l2, self.l2_cores)]
        if self.l3:
            levels.append(told("L3", self.l3, self.l3_cores))
        return ", ".join(levels)

    @property
    def l2_share(self) -> int:
        """Bytes of the L2 cache that are one core's, if all are at work."""
        return self.l2 // self.l2_cores

    @property
    def l3_share(self) -> int:
        """Bytes of the L3 cache that are one core's, if all are at work."""
        return self.l3 // self.l3_cores


# Smaller than or as large as those of most servers and desktops of ten years.
USUAL = Caches(l1=32 * KIB, l2=1024 * KIB, l3=2048 * KIB, line=64)


@functools.cache
def caches() -> Caches:
    """What the system tells of the first core's caches, or else what is usual."""
    told = Caches()
    with contextlib.suppress(OSError, ValueError, AttributeError):  # of a system unlike the known
        told = _told()
    return with_usual(told)


def with_usual(told: Caches) -> Caches:
    """What is usual in the place of what is not told; without an L2 cache there is no L3 either."""
    if not told.l1 or not told.l2:
        return USUAL._replace(line=told.line or USUAL.line, l1=told.l1 or USUAL.l1)
    return told._replace(line=told.line or USUAL.line)


def _told() -> Caches:
    if sys.platform == "win32":
        return _of_windows()
    if sys.platform == "darwin":
        return _of_macos()
    found = of_sysfs(SYSFS)
    return found if found.l1 and found.l2 else _of_glibc()


def of_sysfs(folder: Path) -> Caches:
    """As Linux tells it, in a folder with one for each cache."""
    found = Caches()
    threads = 1  # of a core, which share its L1 cache
    for one in sorted(folder.glob("index[0-9]*")):
        level, kind = (_text(one / name) for name in ("level", "type"))
        size = bytes_of(_text(one / "size"))
        sharing = count_of(_text(one / "shared_cpu_list"))
        if level == "1" and kind in ("Data", "Unified"):
            threads = sharing
            found = found._replace(l1=size, line=int(_text(one / "coherency_line_size") or 0))
        elif level == "2":
            found = found._replace(l2=size, l2_cores=sharing)
        elif level == "3":
            found = found._replace(l3=size, l3_cores=sharing)
    return found._replace(
        l2_cores=max(1, found.l2_cores // threads), l3_cores=max(1, found.l3_cores // threads)
    )


def _text(path: Path) -> str:
    """The text of a file, or nothing where there is none: virtual machines leave some out."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def bytes_of(size: str) -> int:
    """A size as the system writes it: "48K", "32M"; 0 for nothing."""
    factors = {"K": KIB, "M": KIB**2, "G": KIB**3}
    digits = size.rstrip("KMG")
    return int(digits or 0) * factors.get(size[len(digits) :], 1)


def count_of(cpus: str) -> int:
    """How many processors a list such as "0-3,8,10-11" names; 1 for nothing."""
    count = 0
    for piece in filter(None, cpus.split(",")):
        first, _, last = piece.partition("-")
        count += int(last or first) - int(first) + 1
    return max(1, count)


def _of_glibc() -> Caches:
    """As GNU's C library tells it, which asks an x86 processor itself: some sandboxes hide /sys."""
    if platform.libc_ver()[0] != "glibc":
        return Caches()
    l1, line, l2, l3 = (max(0, os.sysconf(number)) for number in GLIBC)
    return Caches(l1, l2, l3, line, l3_cores=os.cpu_count() or 1)


def _of_macos() -> Caches:
    """As `sysctl` tells it: of the faster cores, where there are two kinds."""
    library = ctypes.CDLL(None)

    def number(name: str) -> int:
        value, size = ctypes.c_int64(0), ctypes.c_size_t(8)
        failed = library.sysctlbyname(
            name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
        )
        return 0 if failed else value.value

    def of_core(name: str) -> int:
        return number(f"hw.perflevel0.{name}") or number(f"hw.{name}")

    return Caches(
        l1=of_core("l1dcachesize"),
        l2=of_core("l2cachesize"),
        l3=of_core("l3cachesize"),
        line=number("hw.cachelinesize"),
        l2_cores=max(1, number("hw.perflevel0.cpusperl2")),
        l3_cores=max(1, number("hw.perflevel0.cpusperl3") or number("hw.physicalcpu")),
    )


def _of_windows() -> Caches:
    """As GetLogicalProcessorInformationEx tells it."""
    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined, unused-ignore]
    relation_cache, length = 2, ctypes.c_uint32(0)
    kernel32.GetLogicalProcessorInformationEx(relation_cache, None, ctypes.byref(length))
    records = (ctypes.c_char * length.value)()
    if not kernel32.GetLogicalProcessorInformationEx(relation_cache, records, ctypes.byref(length)):
        return Caches()
    return of_windows_records(bytes(records))


def of_windows_records(records: bytes) -> Caches:
    """From SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX: the caches of the first processor.

    Of each: int32 relation, int32 bytes of the record; level, associativity, int16 line, int32
    size, int32 type (0 unified, 2 data); from byte 40 on a mask of processors.
    """
    found, threads, at = Caches(), 1, 0
    while at < len(records):
        one = records[at : at + int.from_bytes(records[at + 4 : at + 8], "little")]
        level, line = one[8], int.from_bytes(one[10:12], "little")
        size, kind = (int.from_bytes(one[k : k + 4], "little") for k in (12, 16))
        mask = int.from_bytes(one[40:48], "little")
        if mask & 1 and kind in (0, 2):  # of the first processor; of data
            sharing = mask.bit_count()
            if level == 1:
                threads, found = sharing, found._replace(l1=size, line=line)
            elif level == 2:
                found = found._replace(l2=size, l2_cores=sharing)
            elif level == 3:
                found = found._replace(l3=size, l3_cores=sharing)
        at += max(8, len(one))
    return found._replace(
        l2_cores=max(1, found.l2_cores // threads), l3_cores=max(1, found.l3_cores // threads)
    )
