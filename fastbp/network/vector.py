"""All parameters of a network as one vector, and their training by SciPy's optimizers."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.data.arrays import finite, numeric
from fastbp.engine import objective
from fastbp.layout.layout import Layout
from fastbp.network.core import Core, HasCore
from fastbp.network.learned import learning
from fastbp.rows.rows import Targets
from fastbp.rows.weighting import expect_weight
from fastbp.validation import shown

OWN = ("fun", "x0", "args", "jac")  # of SciPy's arguments


def checked(core: Core, values: ArrayLike, name: str) -> NDArray[Any]:
    """Check a vector of as many finite numbers as there are parameters, in the network's dtype."""
    source, count = numeric(values, name), core.configuration.layout.parameter_count
    if source.shape != (count,):
        raise ValueError(
            f"{name} must have the shape ({count},), a number for each parameter of the network; "
            f"got {source.shape}"
        )
    return finite(source, core.configuration.layout.dtype, name)


def get_flat(network: HasCore) -> NDArray[Any]:
    """All parameters as one vector: of each layer the weights by rows, then the biases.

    A copy, (parameters,) of the network's dtype; assign to it to replace all parameters at once by
    as many finite numbers. The products with second derivatives take and return such vectors, too.
    """
    engine = network._core.engine
    engine.turns.expect_whole()
    with engine.turns.reading, engine.turns.lock:
        engine.turns.served()
        return engine.layout.packed(engine.state)


def set_flat(network: HasCore, values: ArrayLike) -> None:
    """Replace all parameters."""
    core = network._core
    with core.engine.turns.changing:
        values = checked(core, values, "flat")
        core.outputs = None
        objective.set_flat(core.engine, values)


def minimize(
    network: HasCore,
    X: ArrayLike,
    y: Targets,
    method: str = "L-BFGS-B",
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[Any, Any] | str | None = None,
    mask_nan: bool = False,
    **options: Any,
) -> Any:
    """Train a network on all rows at once by an optimizer of SciPy.

    What is minimized is the mean loss and the penalties `l1`, `l2` and `alpha` of the network, as a
    function of ``net.flat``. Steps, slots of the network's own optimizer and the history stay. A
    float32 network is trained in float64, since a line search needs a smooth function, and rounded
    at the end. For the same reason operands are not rounded to bfloat16 meanwhile.

    Parameters
    ----------
    network : Network
        What is trained, from its parameters on. Dropout, `max_norm`, `clip_value`, `clip_norm`,
        `trainable` and `rate_factors` have no place here: a network with one is a ValueError.
    X, y : array_like
        As in `Network.fit`.
    method : str
        As ``scipy.optimize.minimize`` takes it.
    sample_weight, class_weight, mask_nan
        As in `Network.fit`.
    **options
        What else ``scipy.optimize.minimize`` takes: `tol`, `options`, `callback`, `bounds` ...

    Returns
    -------
    scipy.optimize.OptimizeResult
        SciPy's, `x` being all parameters in float64. The network has them.

    Raises
    ------
    ModuleNotFoundError
        SciPy is not installed.
    TypeError, ValueError
        An argument that cannot be used.
    FloatingPointError
        The result is not finite.

    Notes
    -----
    After an exception the network is as it was before.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> X = np.linspace(-2, 2, 50)[:, None]
    >>> net = fastbp.Network([1, 8, 1], "tanh", dtype="float64", rng=0)
    >>> result = fastbp.minimize(net, X, np.sin(X), options={"maxiter": 500})
    >>> bool(result.fun < 1e-4)
    True
    """
    try:
        importlib.import_module("scipy.optimize")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "fastbp.minimize needs SciPy: pip install 'fastbp[scipy]'"
        ) from error
    core = getattr(network, "_core", None)
    if not isinstance(core, Core):
        raise TypeError(f"network must be a fastbp.Network, got {shown(network)}")
    _expect_plain(core)
    if taken := [name for name in OWN if name in options]:
        raise TypeError(f"{taken[0]} is what fastbp.minimize passes to SciPy itself")
    turns = core.engine.turns
    with turns.fit_changing, turns.fitting(calls_out=True), learning(core, X, X, steps=False):
        trained, core.outputs = _in_float64(core), None
        rows = trained.rows(X, y, "", sample_weight, class_weight, mask_nan)
        if rows.weights is not None:
            expect_weight(rows, "", sample_weight, class_weight, mask_nan)
        of_rows = objective.Objective(trained.engine, rows, core.loss, core.regularization)
        result = objective.minimized(of_rows, method=method, **options)
        if trained is not core:
            found = finite(np.asarray(result.x), core.engine.layout.dtype, "the result's x")
            objective.set_flat(core.engine, found)
        core.interrupted = None
    return result


def _expect_plain(core: Core) -> None:
    """Raise ValueError for settings that have no meaning for a function of all parameters."""
    settings = core.regularization.options() | core.configuration.groups.options()
    for name in ("dropout", "max_norm", "clip_value", "clip_norm", "trainable", "rate_factors"):
        if name in settings:
            raise ValueError(
                f"fastbp.minimize has no place for {name}, which changes steps; the network has "
                f"{name}={settings[name]}"
            )


def _in_float64(core: Core) -> Core:
    """The network itself, or a copy of it in float64."""
    parts = core.configuration
    if parts.layout.dtype == np.float64:
        return core
    layout = Layout(parts.layout.widths, np.dtype(np.float64))
    parts = dataclasses.replace(parts, layout=layout, products=None)
    made = Core(parts, core.engine.threads, core.rng)
    objective.set_flat(made.engine, objective.flat(core.engine))
    made.engine.scaling, made.names = core.engine.scaling, core.names
    return made
