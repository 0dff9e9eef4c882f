"""What tests expect: errors, by what their messages must tell; ids, the same in every run."""

import re

import pytest


def raises(error, *parts):
    """Expect `error` with all `parts` in its message, in this order."""
    return pytest.raises(error, match="(?s)" + ".*".join(re.escape(part) for part in parts))


def stable(value):
    """The id of a parameter: what it prints as, without an object's address."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))
