"""Ensemble: networks that are trained side by side, and whose mean is the answer."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from fastbp.ensemble import files, inference, out_of_bag, training
from fastbp.ensemble.members import Members, spawned
from fastbp.history import History
from fastbp.losses import BaseLoss
from fastbp.network import Network
from fastbp.validation import generator, positive_int, shown


class Ensemble:
    """Networks that answer together: by the mean of their outputs.

    Parameters
    ----------
    networks : sequence of Network
        With the same inputs, outputs and loss; shapes, activations, optimizers, seeds and dtypes
        may differ. The loss is none of several tasks, nor "gaussian_nll" or "cosine", of whose
        outputs a mean tells nothing. They are taken as they are, not copied.
    rng : int, numpy.random.Generator or None
        Draws the rows that each network is trained on, as ``numpy.random.default_rng`` takes it.

    Notes
    -----
    All that is computed of several networks is added up in float64, network by network in their
    order: neither threads nor batches of networks change a bit of it.

    A network whose fit has failed (`History.failure`) is where its last good epoch left it. It is
    not left out in silence: until it is trained again, whatever asks all networks is a
    RuntimeError, and `without_failed` makes an ensemble of the others.

    Files, pickles and copies hold all networks, the rows they were trained on and the state of
    `rng`: training goes on from them to the same bits.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> def make(rng):
    ...     return fastbp.Network([2, 16, 2], loss="cross_entropy", rng=rng)
    >>> ensemble = fastbp.Ensemble.of(make, 5, rng=0)
    >>> histories = ensemble.fit(X, y, epochs=50, batch_size=16)
    >>> ensemble.predict(X).shape, ensemble.spread(X).shape
    ((200, 2), (200, 2))
    >>> ensemble.evaluate(X, y)["accuracy"] > 0.9
    True
    """

    _members: Members

    def __init__(
        self, networks: Sequence[Network], *, rng: int | np.random.Generator | None = None
    ) -> None:
        self._members = Members(networks, generator(rng))

    @classmethod
    def of(
        cls,
        make: Callable[..., Network],
        count: int,
        *,
        rng: int | np.random.Generator | None = None,
    ) -> "Ensemble":
        """An ensemble of so many networks that a function makes.

        Parameters
        ----------
        make : callable
            ``make(rng=generator)`` returns a new `Network`; each call has a generator of its own,
            spawned from `rng`.
        count : int
            How many.
        rng : int, numpy.random.Generator or None
            Whence all random numbers come, those of the ensemble, too.
        """
        if not callable(make):
            raise TypeError(f"make must be a function that returns a Network, got {shown(make)}")
        parent = generator(rng)
        children = spawned(parent, positive_int(count, "count"))
        made = []
        for child in children:
            network = make(rng=child)
            if not isinstance(network, Network):
                raise TypeError(f"make must return a fastbp.Network, got {shown(network)}")
            made.append(network)
        return cls(made, rng=parent)

    @classmethod
    def made_of(cls, members: Members) -> "Ensemble":
        """The ensemble that this is the inside of."""
        ensemble = cls.__new__(cls)
        ensemble._members = members
        return ensemble

    # Learning: training.py
    fit = training.fit
    # Using what was learned: inference.py, out_of_bag.py
    predict = inference.predict
    spread = inference.spread
    quantiles = inference.quantiles
    votes = inference.votes
    evaluate = inference.evaluate
    oob_predictions = out_of_bag.oob_predictions
    oob_evaluate = out_of_bag.oob_evaluate

    # What it is.

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks, in their order."""
        return self._members.networks

    @property
    def histories(self) -> list[History | None]:
        """What the last fit of each network recorded; kept neither in files nor in copies."""
        return [network.history for network in self._members.networks]

    @property
    def failed(self) -> tuple[int, ...]:
        """The numbers, from 0, of the networks whose last fit has failed."""
        return self._members.failed

    @property
    def loss(self) -> BaseLoss:
        """The loss of all networks."""
        return self._members.loss

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the networks' outputs are rounded to; where dtypes differ, the wider one."""
        return self._members.dtype

    def without_failed(self) -> "Ensemble":
        """An ensemble of the networks whose last fit has not failed, uncopied.

        Raises
        ------
        RuntimeError
            All have failed.
        """
        sound = [number for number in range(len(self)) if number not in self._members.failed]
        if not sound:
            raise RuntimeError(f"all {len(self)} networks of the ensemble failed in their last fit")
        return self.made_of(self._members.some(sound))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all networks to one file, which `fastbp.load` reads.

        A safetensors file, replaced as a whole or not at all; of each network it holds what
        `Network.save` writes. Arrays of networks that are alike lie in one, by number.

        Parameters
        ----------
        path : str or path-like
            Where to; an existing file is replaced.

        Raises
        ------
        ValueError
            A network has a function of your own without an import path, as a lambda; or there are
            too many of them for one file, some 10 000.
        OSError
            The file cannot be written; an old one is still whole.
        """
        files.write(path, self._members)

    def __len__(self) -> int:
        return len(self._members.networks)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._members.networks)

    @overload
    def __getitem__(self, which: int) -> Network: ...

    @overload
    def __getitem__(self, which: slice) -> "Ensemble": ...

    def __getitem__(self, which: int | slice) -> "Network | Ensemble":
        """A network by its number, or an ensemble of some of them, uncopied."""
        if isinstance(which, slice):
            numbers = range(len(self))[which]
            if not numbers:
                raise IndexError(f"{which} chooses none of the {len(self)} networks")
            return self.made_of(self._members.some(numbers))
        return self._members.networks[which]

    def __repr__(self) -> str:
        widths = self._members.networks[0].layers
        parameters = sum(network._core.configuration.layout.parameter_count for network in self)
        failed = f", {len(self._members.failed)} failed" if self._members.failed else ""
        return (
            f"Ensemble({len(self)} networks, {widths[0]} -> {widths[-1]}, {self.loss}, "
            f"{self.dtype}, {parameters:,} parameters{failed})"
        )
