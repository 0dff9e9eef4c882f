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
    rows = [("layer", "shape", "activation", "parameters")]
    pairs = zip(layout.widths[:-1], layout.widths[1:], parts.activations, strict=True)
    for number, (inputs, outputs, activation) in enumerate(pairs, 1):
        count = (inputs + 1) * outputs
        rows.append((f"{number}", f"{inputs} x {outputs}", activation.name, f"{count:,}"))
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    layer, shape, name, count = sizes
    lines = [f"{r[0]:>{layer}}  {r[1]:>{shape}}  {r[2]:{name}}  {r[3]:>{count}}" for r in rows]
    lines.insert(1, "  ".join("-" * size for size in sizes))
    products = sum(a * b for a, b in zip(layout.widths[:-1], layout.widths[1:], strict=True))
    return "\n".join(
        [
            *lines,
            "",
            f"parameters  {layout.parameter_count:,} ({layout.dtype}, "
            f"{bytes_text(layout.parameter_count * layout.dtype.itemsize)})",
            f"memory      {bytes_text(nbytes)} with optimizer state and what steps write",
            f"operations  {2 * products:,} to predict a row, {layout.row_flops:,} to train on it",
        ]
    )


def bytes_text(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
