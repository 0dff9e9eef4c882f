"""load: what was saved, from its file."""

import os
from typing import Any

import numpy as np

from fastbp.files import container
from fastbp.network import model_files
from fastbp.network.loading import network_of
from fastbp.validation import generator, positive_int


def load(
    path: str | os.PathLike[str],
    *,
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
) -> Any:
    """The network that `Network.save` wrote, or the ensemble that `Ensemble.save` did.

    Parameters
    ----------
    path : str or path-like
        The file.
    rng : int, numpy.random.Generator or None
        What shuffles in further training; None goes on with the state in the file, or with a seed
        of the system's where the file has none. With another one no fit can be resumed. The
        networks of an ensemble have one each, spawned from it.
    threads : int, optional
        As in `Network`.

    Returns
    -------
    Network or Ensemble

    Raises
    ------
    ValueError
        The file is truncated, damaged or not a model of fastbp. Nothing large is allocated before
        the file's own size bears it out, and no code of a file is ever run.
    OSError
        The file is missing or cannot be read.
    """
    threads = None if threads is None else positive_int(threads, "threads")
    given = None if rng is None else generator(rng)
    arrays, described = container.read(path)
    try:
        if "ensemble" not in described:
            return network_of(model_files.checked(arrays, described), threads, given)
        from fastbp.ensemble import Ensemble, files  # which most programs do without

        return Ensemble.made_of(files.restored(arrays, described, threads, given))
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot load {os.fsdecode(path)!r}: {error}") from error
