"""A call that ended early leaves nothing behind that the next call could trip over.

Run as a script it ends a fit in the middle of an epoch and goes on with other memory.
"""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastbp

ROWS = 200_000  # the order of an epoch is a memory mapping of its own, given back when freed


def go_on_after(ending):
    """End a fit by a signal or by a loss that is not finite, free its memory, and train on."""
    net = fastbp.Network([2, 64], loss="mse", rng=0, threads=1)
    X, y = np.ones((ROWS, 2), np.float32), np.ones((ROWS, 64), np.float32)
    net.train_step(X[:64], y[:64])
    if ending == "interrupted":

        def interrupt():
            while net.steps < 2:
                time.sleep(0.001)
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            net.fit(X, y, epochs=100_000, batch_size=64, progress=False)
    else:
        y[ROWS // 3] = 3e38
        with pytest.raises(FloatingPointError):
            net.fit(X, y, epochs=1, batch_size=64, shuffle=False, progress=False)
    rest_x, rest_y = X[:64].copy(), np.ones((64, 64), np.float32)
    del X, y
    gc.collect()
    for _ in range(3):
        assert np.isfinite(net.train_step(rest_x, rest_y))
        assert np.isfinite(net.predict(rest_x)).all()
        assert np.isfinite(net.loss_and_gradients(rest_x, rest_y)[0])


@pytest.mark.parametrize("ending", ["interrupted", "diverged"])
def test_the_memory_of_a_call_that_ended_early_is_not_read_again(ending):
    environment = os.environ | {"PYTHONPATH": str(Path(fastbp.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, ending],
        env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    go_on_after(sys.argv[1])
