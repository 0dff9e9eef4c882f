"""The names of features: those of a frame's columns, which must be the same ones ever after."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.data.sources import column_labels
from fastbp.files.strict_json import encode
from fastbp.validation import shown

Names = tuple[str, ...] | None
SOME = 5  # names that a message shows
MOST_BYTES = 1 << 21  # of names in a model file, whose header is bounded


def agreed(known: Names, X: Any, argument: str) -> Names:
    """The names that are known once `X` has been seen as well.

    Parameters
    ----------
    known : tuple of str or None
        Those that the network has.
    X : object
        Features as a user passed them. Only a frame or table of which all columns are called by
        strings, of valid Unicode, has names; such that a file cannot hold are not kept.
    argument : str
        What the caller calls `X`, for the message.

    Raises
    ------
    ValueError
        Both have names, and they are not the same ones in the same order.
    """
    if type(X) is np.ndarray:
        return known
    found = _names_of(X)
    if found is None or found == known:
        return known
    if known is None:
        return _kept(found)
    missing, unexpected = Counter(known) - Counter(found), Counter(found) - Counter(known)
    faults = []
    if missing:
        faults.append(f"lacks {_some(missing)}")
    if unexpected:
        faults.append(f"has {_some(unexpected)}, which the network does not know")
    if not faults:
        at = next(i for i, name in enumerate(known) if name != found[i])
        there, here = _short(found[at]), _short(known[at])
        faults.append(f"has them in another order: column {at} is {there}, not {here}")
    raise ValueError(
        f"{argument} must have the columns that the network was trained on, in their order; it "
        f"{' and '.join(faults)} (see feature_names; an array has no names)"
    )


def known_elsewhere(labels: Sequence[Any]) -> Names:
    """The names that another library has kept of a frame that it was trained on."""
    return _kept(tuple(map(str, labels))) if len(labels) and _are_text(labels) else None


def from_file(names: Any, width: int) -> Names:
    """The names that a model file has; raises ValueError."""
    if not isinstance(names, list) or len(names) != width or not _are_text(names):
        raise ValueError(f"feature_names must be a list of {width} strings, got {shown(names)}")
    return tuple(names)


def _names_of(X: Any) -> Names:
    labels = column_labels(X)
    return tuple(map(str, labels)) if labels and _are_text(labels) else None


def _kept(names: tuple[str, ...]) -> Names:
    """The names if a model file has room for them: as JSON, in a string of JSON."""
    return names if len(encode(encode(names)).encode()) <= MOST_BYTES else None


def _are_text(labels: Sequence[Any]) -> bool:
    """Whether they are strings, and such that a file can hold them: no half of a surrogate."""
    if not all(isinstance(label, str) for label in labels):
        return False
    try:
        "".join(labels).encode()
    except UnicodeEncodeError:
        return False
    return True


def _some(names: Counter[str]) -> str:
    """The first of the names, and how many more there are."""
    held = list(names.elements())
    more = f" and {len(held) - SOME} more" if len(held) > SOME else ""
    return ", ".join(map(_short, held[:SOME])) + more


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
