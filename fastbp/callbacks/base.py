"""The protocol of callbacks, and what a fit makes of those that it was given."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from fastbp.callbacks.fit import Fit
from fastbp.validation import shown


class Stateful(Protocol):
    """What may have a state that an exact resume needs."""

    def state(self) -> dict[str, Any]:
        """The state, or {}."""


class Callback:
    """What all callbacks share; override what you need and pass objects to ``fit(callbacks=)``.

    Each method takes the `fastbp.callbacks.Fit` under way: what it has come to, and its `stop`. The
    network can be used and changed meanwhile, but not fitted; other threads can use it, but not
    train it. Callbacks are called in the order in which they were given, a `Checkpoint` and a
    `LearningRateFinder` after others. An exception ends the fit after a whole step and is raised by
    it. A class with another method whose name begins with ``on_`` is a TypeError, since nothing
    would call it.

    Attributes
    ----------
    watches : str or None
        A quantity that the fit has to record; where it does not, it is a ValueError before the
        first step, and in `fastbp.fit_many` before any network is trained.

    Notes
    -----
    Without callbacks many epochs go in one call of the kernels. To override `on_epoch_end` costs a
    call for each epoch, `on_step_end` one for each step, and some more where there is a schedule.
    """

    place: ClassVar[int] = 0  # the higher it is, the later among the callbacks of a fit
    writes_files: ClassVar[bool] = False  # to a path of its own
    watches: str | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in vars(cls):
            if name.startswith("on_") and not hasattr(Callback, name):
                known = ", ".join(one for one in vars(Callback) if one.startswith("on_"))
                raise TypeError(f"{cls.__name__} has a method {name}; a fit calls only {known}")

    def on_fit_begin(self, fit: Fit) -> None:
        """Before the first step, when all arguments are checked; the place for checks of yours."""

    def on_epoch_end(self, fit: Fit) -> None:
        """After each epoch, when `fit.history` has its row."""

    def on_step_end(self, fit: Fit) -> None:
        """After each step, `fit.loss` being its loss before the update."""

    def on_fit_end(self, fit: Fit) -> None:
        """When the fit has ended, in whatever way: `fit.failure` is the exception, or None.

        It is called where `on_fit_begin` was. Where a loss that is not finite ended the fit, a
        callback that calls ``fit.stop`` here has seen to it, and nothing is raised.
        """

    def state(self) -> dict[str, Any]:
        """What an exact resume needs of this callback; callbacks without a state return {}.

        Dictionaries (keys are str, their order is not kept), lists, str, bool, None, int, float
        and NumPy arrays, nested as you like; arrays for what is large. A copy: it is kept while
        the fit goes on.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; called before `on_fit_begin`.

        It comes from a file: raise ValueError for what `state` never returns.
        """


def checked_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """The callbacks that a user passed; TypeError where one is none, ValueError if it is twice."""
    if not isinstance(callbacks, Sequence):
        raise TypeError(f"callbacks must be a sequence of callbacks, got {shown(callbacks)}")
    for i, callback in enumerate(callbacks):
        if isinstance(callback, type) and issubclass(callback, Callback):
            name = callback.__name__
            raise TypeError(f"callbacks[{i}] must be an object: write {name}(), with the brackets")
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks[{i}] must be a fastbp.callbacks.Callback, got {shown(callback)}"
            )
        if any(callback is other for other in callbacks[:i]):
            raise ValueError(f"callbacks[{i}] is given twice: {shown(callback)}")
    return tuple(callbacks)


def in_order(callbacks: tuple[Callback, ...]) -> tuple[Callback, ...]:
    """The callbacks as a fit calls them."""
    return tuple(sorted(callbacks, key=lambda callback: callback.place)) if callbacks else ()


def overriding(callbacks: tuple[Callback, ...], name: str) -> tuple[Callback, ...]:
    """Those that have a method of that name of their own."""
    method = getattr(Callback, name)
    return tuple(one for one in callbacks if getattr(type(one), name) is not method)


def states(callbacks: Sequence[Stateful]) -> list[tuple[str, dict[str, Any]]]:
    """Class name and state of those that have a state."""
    pairs = [(type(one).__name__, one.state()) for one in callbacks]
    return [(name, state) for name, state in pairs if state]
