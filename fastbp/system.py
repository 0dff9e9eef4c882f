"""What fastbp runs on, as a text for bug reports: versions, processor, kernels and their peak."""

import contextlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from fastbp.kernels.machine import bfloat16, caches, cores, sizes, vectors
from fastbp.kernels.machine.jit import find_cache
from fastbp.kernels.product import tile
from fastbp.version import __version__

REQUIRED = ("numpy", "numba", "llvmlite", "tqdm", "platformdirs")
OPTIONAL = (
    "scipy", "scikit-learn", "pandas", "polars", "pyarrow", "torch", "jax", "matplotlib",
    "tensorboardX",
)  # fmt: skip
SIMD = ("sse", "ssse", "avx", "fma", "f16c", "amx", "neon", "sve", "bf16", "fp16", "fullfp16")


def show_config() -> None:
    """Print versions, processor, cores, cache folder and floating-point peak, for bug reports.

    The peak, of one core, is measured: some milliseconds, and a second where its kernel is not
    in the cache. ``python -m fastbp`` prints the same.
    """
    sys.stdout.write(config_text())


def config_text() -> str:
    """What `show_config` prints."""
    from fastbp.kernels.machine.peak import fma_peak  # few users need it

    lines = {
        "fastbp": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "with": _versions(REQUIRED),
        "beside": _versions(OPTIONAL) or "none of the optional packages",
        "system": f"{platform.platform()}, {platform.machine()}",
        "processor": processor() or "unknown",
        "compiled for": _target(),
        "vectors": f"{vectors.vector_bytes()} bytes",
        "tile": "{0.rows} rows x {0.vectors} vectors".format(tile.tile_shape()),
        "bfloat16": "products by AVX512_BF16"
        if bfloat16.native()
        else "products without AVX512_BF16: slow, with the same bits",
        "cores": f"{cores.available_cores()} to use of {os.cpu_count()}",
        "caches": str(caches.caches()),
        "block sizes": _sizes(),
        "kernel cache": _cache(),
        "FMA peak": ", ".join(
            f"{fma_peak(dtype):.1f} GFLOP/s in {dtype}" for dtype in ("float32", "float64")
        )
        + " (one core, measured now)",
    }
    return "".join(f"{name:13} {text}\n" for name, text in lines.items())


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _versions(names: tuple[str, ...]) -> str:
    """Those installed, without importing them."""
    found = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def _target() -> str:
    """LLVM's name of the processor, and those of its features that matter here."""
    name, features = vectors.processor_target()
    has = [one[1:] for one in features.split(",") if one.startswith("+")]
    return " ".join([f"{name}:", *sorted(one for one in has if one.startswith(SIMD))])


def _sizes() -> str:
    measured = len(sizes.of_machine().measured)
    if measured:
        return f"{measured} numbers measured by python -m fastbp tune"
    return "by the caches' sizes; python -m fastbp tune measures them"


def _cache() -> str:
    folder, fault = find_cache()
    if folder is None:
        return f"none: {fault}; kernels are compiled in every process (see FASTBP_CACHE_DIR)"
    kernels = sum(1 for file in folder.iterdir() if file.suffix != ".json")
    writable = "writable" if os.access(folder, os.W_OK) else "not writable"
    with contextlib.suppress(ValueError, RuntimeError):  # elsewhere, or no home folder is known
        folder = "~" / folder.relative_to(Path.home())
    return f"{folder}, {writable}, {kernels} kernels"
