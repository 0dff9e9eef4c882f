"""A network in words: the table of its layers."""

from fastbp.configuration import Configuration


def summary(parts: Configuration, nbytes: int) -> str:
    """What `Network.summary` returns.

    Parameters
    ----------
    parts : Configuration
        What the network is made of.
    nbytes : int
        Bytes that it holds at the moment.
    """
    layout = parts.layout
    columns: dict[str, list[str]] = {"layer": [str(i + 1) for i in range(layout.layers)]}
    pairs = list(zip(layout.widths[:-1], layout.widths[1:], strict=True))
    columns["shape"] = [f"{inputs} x {outputs}" for inputs, outputs in pairs]
    columns["activation"] = [activation.name for activation in parts.activations]
    if parts.regularization.drops:
        columns["dropout"] = [f"{rate:g}" for rate in parts.regularization.dropout] + [""]
    if not parts.groups.alike:
        pairs_of = zip(parts.groups.trainable, parts.groups.rate_factors, strict=True)
        columns["rate"] = [f"x {factor:g}" if trained else "frozen" for trained, factor in pairs_of]
    columns["parameters"] = [f"{(inputs + 1) * outputs:,}" for inputs, outputs in pairs]
    lines = _table(columns)
    weights = sum(inputs * outputs for inputs, outputs in pairs)
    rounded = f", products of {parts.products}" if parts.products else ""
    return "\n".join(
        [
            *lines,
            "",
            f"parameters  {layout.parameter_count:,} ({layout.dtype}, "
            f"{bytes_text(layout.parameter_count * layout.dtype.itemsize)})",
            f"memory      {bytes_text(nbytes)} with optimizer state and what steps write",
            f"operations  {2 * weights:,} to predict a row, {layout.row_flops:,} to train on "
            f"it{rounded}",
        ]
    )


def line(parts: Configuration, steps: int, nbytes: int) -> str:
    """What ``repr`` of a network returns; arguments as of `summary`, and its steps."""
    layout = parts.layout
    names = [activation.name for activation in parts.activations]
    widths = [str(width) for width in layout.widths]
    layers = [f"-> {width} {name}" for width, name in zip(widths[1:], names, strict=True)]
    given = {name: getattr(parts, name) for name in ("scaling", "loss_weights", "products")}
    options = {name: value for name, value in given.items() if value is not None}
    options |= parts.regularization.options() | parts.groups.options()
    settings = "".join(f"{name}={value}, " for name, value in options.items())
    return (
        f"Network({widths[0]} {' '.join(layers)}; {parts.loss}, {parts.optimizer}, {settings}"
        f"{layout.dtype}, {layout.parameter_count:,} parameters, {steps:,} steps, "
        f"{bytes_text(nbytes)})"
    )


def _table(columns: dict[str, list[str]]) -> list[str]:
    """Lines of a table: words to the left, numbers to the right."""
    padded = []
    for title, cells in columns.items():
        width = max(map(len, [title, *cells]))
        texts = [title, "-" * width, *cells]
        words = title == "activation"
        padded.append([text.ljust(width) if words else text.rjust(width) for text in texts])
    return ["  ".join(line) for line in zip(*padded, strict=True)]


def bytes_text(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
