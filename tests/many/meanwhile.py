"""Another thread that uses networks while they are trained."""

import contextlib
import copy
import threading

import numpy as np


@contextlib.contextmanager
def reading(networks, X):
    """Within, the networks predict and are copied again and again; what fails there is raised."""
    done, failures = threading.Event(), []

    def read():
        try:
            while not done.is_set():
                for net in networks:
                    assert np.isfinite(net.predict(X)).all()
                    copy.deepcopy(net)
        except BaseException as error:  # noqa: BLE001 - raised by the test's thread
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        done.set()
        reader.join()
    if failures:
        raise failures[0]
