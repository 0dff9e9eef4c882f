"""What a new process pays before it trains."""

FIRST_FIT = """
import numpy as np
import fastbp
X, y = np.random.default_rng(0).standard_normal((1000, 64)), np.arange(1000) % 10
network = fastbp.Network([64, 100, 10], loss="cross_entropy", rng=0)
network.fit(X, y, batch_size=200, progress=False)
"""
EMPTY_CACHE = """
import atexit, os, shutil, tempfile
os.environ["FASTBP_CACHE_DIR"] = tempfile.mkdtemp()
atexit.register(shutil.rmtree, os.environ["FASTBP_CACHE_DIR"])
"""


def timeraw_import():
    """Return the statement that asv times in a process of its own."""
    return "import fastbp"


class FirstFit:
    """Import and the first epoch of a process, by what the disk cache of kernels holds."""

    params = (["warm", "empty"],)
    param_names = ("cache",)
    number = 1  # the second fit of a process finds all compiled
    repeat = (1, 5, 10.0)
    warmup_time = 0

    def setup(self, cache):
        if cache == "warm":
            exec(FIRST_FIT, {})

    def timeraw_first_fit(self, cache):
        return FIRST_FIT, EMPTY_CACHE if cache == "empty" else ""
