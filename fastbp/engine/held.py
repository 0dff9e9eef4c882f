"""Held: the memory of one network, what is written in it, and whose turn it is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.configuration import Configuration
from fastbp.data.scaling import Scaling, fixed
from fastbp.engine.coefficients import Coefficients
from fastbp.engine.memory import Memory
from fastbp.engine.turns import Turns
from fastbp.engine.watch import Watch
from fastbp.layout.aligned import aligned_zeros
from fastbp.rows.rows import Slopes


class _OfThread(threading.local):
    """The watches of one thread, by what they are over; in a fork's child there are no others."""

    def __init__(self) -> None:
        self.watches: dict[int, Watch] = {}


_of_thread = _OfThread()


class Held:
    """What the calls of the kernels have in common.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.
    threads : int or None
        Threads of a team; None for as many as help. A prediction has no more than help.

    Attributes
    ----------
    parts : Configuration
        That of the parameters, or what `reconfigure` had last.
    state : ndarray
        Parameters and optimizer slots, flat.
    step_counter : ndarray of int64
        As `Memory.steps`.
    forwarded : Slopes or None
        Of the outputs whose activations are still in the workspace; any call forgets it.
    turns : Turns
        Who may use the network when. `train` takes its turns by itself; all else is done by those
        who have one.
    """

    def __init__(self, parts: Configuration, threads: int | None) -> None:
        self.parts, self.layout, self.threads = parts, parts.layout, threads
        self._memory = Memory(parts)
        self.state, self.step_counter = self._memory.state, self._memory.steps
        self.turns = Turns(self._memory.shared)
        self.forwarded: Slopes | None = None
        self._coefficients = Coefficients(parts.optimizer, parts.groups.factors)
        self.scaling = fixed(parts.scaling, parts.layout.widths[0])
        self._drops = parts.regularization.drops
        self._clips_norm = parts.regularization.clip_norm is not None
        self._alpha = parts.regularization.alpha

    @property
    def dropout_seed(self) -> int:
        """What the random numbers of dropout begin with."""
        return self._memory.dropout_seed

    @dropout_seed.setter
    def dropout_seed(self, value: int) -> None:
        self._memory.plans, self._memory.dropout_seed = {}, value
        self.step_counter[2] += 1

    @property
    def step(self) -> int:
        """How many steps the parameters have made."""
        return int(self._memory.steps[0])

    @step.setter
    def step(self, value: int) -> None:
        self._memory.steps[0] = value

    @property
    def scaling(self) -> Scaling | None:
        """What the features go through, if anything."""
        return self._scaling

    @scaling.setter
    def scaling(self, value: Scaling | None) -> None:
        memory, self.forwarded = self._memory, None
        memory.plans, memory.scaling = {}, None if value is None else np.stack(value)
        self._scaling = value
        self.step_counter[2] += 1

    @contextmanager
    def watched(self, watch: Watch) -> Iterator[None]:
        """Within, this thread's calls of the kernels are under a watch, and alone on one core."""
        watches = _of_thread.watches
        watches[id(self)] = watch
        try:
            yield
        finally:
            del watches[id(self)]

    @property
    def watch(self) -> Watch | None:
        """Over this thread's calls, if there is one."""
        return _of_thread.watches.get(id(self))

    @property
    def team_threads(self) -> int | None:
        """Threads of a team that this thread calls."""
        return self.threads if self.watch is None else 1

    @property
    def nbytes(self) -> int:
        """Bytes that the network holds at the moment."""
        return self._memory.nbytes

    @property
    def has_room(self) -> bool:
        """Whether there is memory that calls of the kernels have made."""
        return self._memory.workspace is not None

    def release(self) -> None:
        """Give back what can be made anew, unless another thread trains the network."""
        self.turns.unless_changing(self._release)

    def _release(self) -> None:
        self.forwarded = None
        self._memory.release()
        self._coefficients = Coefficients(self.parts.optimizer, self.parts.groups.factors)

    def keep(self) -> None:
        """Copy parameters and slots, for `go_back`."""
        memory = self._memory
        if memory.kept is None:
            memory.kept = aligned_zeros(self.state.size, self.layout.dtype)
        np.copyto(memory.kept, self.state)
        memory.kept_step = self.step

    def go_back(self) -> None:
        """Put the network back where it was when `keep` was called last."""
        memory = self._memory
        assert memory.kept is not None
        self.put_back(memory.kept, memory.kept_step)

    def put_back(self, state: NDArray[Any], step: int) -> None:
        """Replace parameters, slots and the step count."""

        def replace() -> None:
            self.turns.writing, self.forwarded = True, None
            try:
                self.state[:] = state
                self.step = step
            finally:
                self.turns.writing = False

        try:
            self.turns.hold(replace)
        except BaseException:  # a signal's: never half
            self.turns.hold(replace)
            raise

    def slot(self, number: int) -> NDArray[Any]:
        """The flat view of the parameters (0) or of an optimizer slot (from 1)."""
        size = self.layout.parameters
        return self.state[number * size : (number + 1) * size]

    def reconfigure(self, parts: Configuration) -> None:
        """Go on with another optimizer, whose slots and steps begin anew, or with other groups."""
        try:
            self.turns.hold(self._reconfigure, parts)
        except BaseException:  # a signal's: never half
            self.turns.hold(self._reconfigure, parts)
            raise

    def _reconfigure(self, parts: Configuration) -> None:
        memory, size = self._memory, self.layout.parameters
        memory.plans, self.forwarded = {}, None
        self.step_counter[2] += 1
        if parts.optimizer != self.parts.optimizer:
            slots = 1 + parts.optimizer.slots
            if slots * size != self.state.size:
                state = aligned_zeros(slots * size, self.layout.dtype)
                state[:size] = self.state[:size]
                self.state, memory.state, memory.kept = state, state, None
            self.state[size:] = 0
            self.step = 0
        self.parts = parts
        self._coefficients = Coefficients(parts.optimizer, parts.groups.factors)
