"""What a new process pays before it trains."""


def timeraw_import():
    """Return the statement that asv times in a process of its own."""
    return "import fastbp"
