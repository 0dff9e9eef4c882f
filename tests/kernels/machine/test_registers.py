"""Tests that loops of kernels take the widest registers, whatever LLVM prefers for the processor.

Run as a script it compiles a loop for the processor that the environment names and prints, as
JSON, how often its code names registers of each width.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from numba import carray

import fastbp
from fastbp.kernels.machine.jit import INT, REAL, Kernel, inline
from fastbp.kernels.machine.vectors import X86

REGISTERS = "xmm", "ymm", "zmm"


def add(a, b, n):
    x, y = carray(a, (n,)), carray(b, (n,))
    for i in range(n):
        x[i] += y[i]


def own_loop(x, y):
    for i in range(x.size):
        x[i] += y[i]


def inlined(a, b, n):
    add_inline(a, b, n)


add_inline = inline(add)
KERNELS = {"loop": add, "loop of an inline function": inlined}


def registers(assembly):
    return {name: assembly.count(f"%{name}") for name in REGISTERS}


def compiled_here():
    kernels = {
        name: Kernel(function, (REAL, REAL, INT), cached=False).compiled()
        for name, function in KERNELS.items()
    }
    found = {name: one._library.get_asm_str() for name, one in kernels.items()}
    other = numba.njit("void(float32[::1], float32[::1])")(own_loop)
    found["a user's loop"] = other.inspect_asm(other.signatures[0])
    return {name: registers(assembly) for name, assembly in found.items()}


@pytest.fixture(scope="module")
def server():
    """The registers of code for a server of Intel's, for which LLVM prefers 256 bits."""
    environment = os.environ | {
        "NUMBA_CPU_NAME": "skylake-avx512",
        "NUMBA_CPU_FEATURES": "",
        "PYTHONPATH": str(Path(fastbp.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not X86, reason="names of x86 processors")
@pytest.mark.parametrize("name", KERNELS)
def test_loops_of_kernels_take_the_widest_registers(server, name):
    assert server[name]["zmm"] > 4


@pytest.mark.skipif(not X86, reason="names of x86 processors")
def test_loops_of_others_stay_as_they_are(server):
    assert server["a user's loop"]["ymm"] > 4
    assert server["a user's loop"]["zmm"] == 0


if __name__ == "__main__":
    json.dump(compiled_here(), sys.stdout)
