"""An error expected in a test, by its type and by what its message must tell."""

import re

import pytest


def raises(error, *parts):
    """Expect `error` with all `parts` in its message, in this order."""
    return pytest.raises(error, match="(?s)" + ".*".join(re.escape(part) for part in parts))
