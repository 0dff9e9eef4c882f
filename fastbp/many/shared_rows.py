"""SharedRows: data that many networks are given, checked and converted once for all of a kind."""

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.data.arrays import numeric
from fastbp.data.csr import checked_csr
from fastbp.data.scaling import Scaling
from fastbp.data.sparse import SparseRows, is_sparse
from fastbp.kernels.machine.jit import address
from fastbp.network.core import Core
from fastbp.rows.rows import Features, Rows, checked_features
from fastbp.tasks import Tasks
from fastbp.validation import shown

Which = NDArray[np.int64]


def checked_which(which: Any, rows: int, name: str) -> Which:
    """The numbers of rows that a user chose, by numbers or by a mask; an array of its own."""
    chosen = numeric(which, name)
    accepted = f"{name} must be numbers of rows, 0 to {rows - 1}, or a mask of {rows} booleans"
    if chosen.dtype.kind == "b" and chosen.shape == (rows,):
        found = np.flatnonzero(chosen)
    elif chosen.ndim == 1 and chosen.dtype.kind in "iu":
        found = chosen.astype(np.int64)
    else:
        raise ValueError(f"{accepted}; got {chosen.dtype} of shape {chosen.shape}")
    if not len(found):
        raise ValueError(f"{name} chooses no row")
    outside = (found < 0) | (found >= rows)
    if outside.any():
        raise ValueError(f"{accepted}; it holds {shown(int(found[outside.argmax()]))}")
    return found


def count(X: Any) -> int:
    """How many rows there are, as far as that can be told before they are checked.

    Raises
    ------
    TypeError
        There are none to count.
    """
    shape = getattr(X, "shape", None)
    try:
        return int(shape[0]) if shape else len(X)
    except TypeError:
        raise TypeError(f"X must hold rows of features, got {shown(X)}") from None


class SharedRows:
    """What was converted, by the arguments and by what of a network it depends on.

    Parameters
    ----------
    states : sequence of ndarray
        The parameters of the networks: data that lie in them are copied, since training must not
        change what others read.
    """

    def __init__(self, states: Sequence[NDArray[Any]]) -> None:
        ranges = sorted((address(state), address(state) + state.nbytes) for state in states)
        self._starts = np.array([start for start, _ in ranges])
        self._ends = np.array([end for _, end in ranges])
        # With what was given, so that the numbers of these objects stay theirs.
        self._made: dict[Hashable, tuple[Any, Any]] = {}

    def rows(
        self,
        core: Core,
        X: Any,
        y: Any,
        prefix: str = "",
        sample_weight: Any = None,
        class_weight: Any = None,
        mask_nan: bool = False,
        which: Which | None = None,
    ) -> Rows:
        """What `Core.rows` returns; which: the rows of the data that the network has.

        Of some rows it is a copy, for the caller alone.
        """
        core.expect_names(X, f"{prefix}X")
        core.known_scaling()  # or it is refused
        parts, given = core.configuration, (X, y, sample_weight, class_weight)
        once = X if is_sparse(X) else self._features(core, X, prefix)

        def convert() -> Rows:
            targets = y if mask_nan or class_weight is not None else self._targets(core, y)
            rows = self._apart(core.rows(once, targets, prefix, *given[2:], mask_nan))
            if targets is y and not mask_nan and class_weight is None:
                self._keep_targets(core, y, rows)
            return rows

        key = (*map(id, given), mask_nan, *self._kind(core), parts.layout.widths[-1])
        whole: Rows = self._once((*key, parts.loss, parts.loss_weights), given, convert)
        if whole.tasks:  # in which each network leaves losses of its own
            own = (part._replace(losses=np.empty(len(once))) for part in whole.tasks)
            whole = whole._replace(tasks=tuple(own))
        if which is None:
            return whole
        plain = whole.weights is None and not whole.tasks and not whole.masked
        if plain and not isinstance(whole.features, SparseRows):
            return Rows(whole.features[which], whole.targets[which])
        return core.rows(
            self._part(core, X, which),
            self._part_of_targets(y, which, mask_nan),
            prefix,
            None if sample_weight is None else self._array(sample_weight)[which],
            class_weight,
            mask_nan,
        )

    def features(self, core: Core, X: Any, which: Which | None) -> Features:
        """X, or some rows of it, as the kernels read it."""
        core.expect_names(X, "X")
        if which is None or not is_sparse(X):
            found: Features = self._features(core, X, "")
            return found if which is None or isinstance(found, SparseRows) else found[which]
        part = self._part(core, X, which)
        return checked_features(core.configuration, core.engine.scaling, part, "X")

    def scaling(self, core: Core, X: Any, which: Which | None) -> Scaling:
        """What the network learns of X, or of some of its rows."""
        if which is None:
            layout = core.configuration.layout
            key = "scaling", id(X), layout.widths[0], layout.dtype
            found: Scaling = self._once(key, X, lambda: core.scaling_of(X))
            return found
        return core.scaling_of(self._part(core, X, which))

    def _part(self, core: Core, X: Any, which: Which) -> Any:
        """Some rows of X, as something that `Core.rows` takes."""
        if is_sparse(X):
            return self._once(("csr", id(X)), X, lambda: checked_csr(X, "X"))[which]
        return self._features(core, X, "")[which]

    def _features(self, core: Core, X: Any, prefix: str) -> Any:
        """X as the kernels read it, whatever a network has learned to scale it by."""
        parts, scaling, name = core.configuration, core.engine.scaling, f"{prefix}X"
        key, dtype = ("features", id(X), *self._kind(core)), parts.layout.dtype
        if is_sparse(X):
            return self._once(key, X, lambda: checked_features(parts, scaling, X, name))
        found = self._once(key, X, lambda: checked_features(parts, None, X, name))
        if scaling is not None:
            key, given = ("range", id(X), id(scaling), dtype), (X, scaling)
            self._once(key, given, lambda: scaling.check_range(found, dtype, name, given=X))
        return found

    @staticmethod
    def _kind(core: Core) -> tuple[Hashable, ...]:
        """What of a network decides how its features are converted."""
        parts = core.configuration
        return parts.layout.widths[0], parts.layout.dtype, parts.scaling

    @staticmethod
    def _kind_of_targets(core: Core, y: Any) -> Hashable | None:
        """What of a network decides how its targets are converted; None for those of tasks."""
        loss, layout = core.loss, core.configuration.layout
        if isinstance(loss, Tasks):
            return None
        outputs = layout.widths[-1]
        columns = loss.target_columns(outputs), loss.held_columns(outputs)
        if columns[0] != columns[1] and loss.targets != "labels":
            return None  # which are held in another form than they are given
        return "targets", id(y), layout.dtype, loss.targets, outputs, columns

    def _targets(self, core: Core, y: Any) -> Any:
        """`y` as it was converted for another network, if it was."""
        found = self._made.get(self._kind_of_targets(core, y))
        return y if found is None else found[1]

    def _keep_targets(self, core: Core, y: Any, rows: Rows) -> None:
        key = self._kind_of_targets(core, y)
        if key is not None:
            self._made[key] = y, rows.targets

    def _part_of_targets(self, y: Any, which: Which, nulls: bool) -> Any:
        if isinstance(y, Mapping):
            return {name: self._array(one, nulls)[which] for name, one in y.items()}
        return self._array(y, nulls)[which]

    def _array(self, values: Any, nulls: bool = False) -> NDArray[Any]:
        key = ("array", id(values), nulls)
        found: NDArray[Any] = self._once(key, values, lambda: numeric(values, "y", nulls=nulls))
        return found

    def _once(self, key: Hashable, given: Any, make: Callable[[], Any]) -> Any:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = given, make()
        return found[1]

    def _apart(self, rows: Rows) -> Rows:
        """The rows, in memory of their own where they lie in a network's parameters."""
        features = rows.features
        values = features.values if isinstance(features, SparseRows) else features
        arrays = [values, *(part.judged.targets for part in rows.tasks or (rows,))]
        return copy.deepcopy(rows) if any(map(self._is_parameter, arrays)) else rows

    def _is_parameter(self, array: NDArray[Any]) -> bool:
        """Whether a contiguous array lies in a network's parameters."""
        low = address(array)
        at = int(np.searchsorted(self._ends, low, side="right"))
        return at < len(self._starts) and bool(self._starts[at] < low + array.nbytes)
