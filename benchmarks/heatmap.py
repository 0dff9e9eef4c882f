"""Heat maps of the sweep, one beside the other: time by operation over width and batch."""

import textwrap

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure


def plot(tables, widths, batches, caption, path):
    """Write the maps to the file `path`.

    Parameters
    ----------
    tables : dict
        By title: picoseconds an operation (widths, batches), NaN where there is none.
    widths, batches : list of int
        What the rows and the columns stand for.
    caption : str
        Stands below, broken into lines that fit.
    path : path-like
        A PNG file.
    """
    across, down = 0.42 * len(batches), 0.3 * len(widths)
    size = 1.6 + len(tables) * (across + 0.8), down + 2
    figure = Figure(figsize=size, layout="constrained")
    all_axes = np.atleast_1d(figure.subplots(1, len(tables), sharey=True))
    values = np.concatenate([table.ravel() for table in tables.values()])
    colors = LogNorm(np.nanmin(values), np.nanmax(values))
    for axes, (title, table) in zip(all_axes, tables.items(), strict=True):
        image = axes.imshow(table, norm=colors, cmap="viridis_r", origin="lower", aspect="auto")
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                ink = "white" if colors(value) > 0.5 else "black"
                text = f"{value:.1f}" if value < 99.5 else f"{value:.0f}"
                axes.text(j, i, text, ha="center", va="center", fontsize=6, color=ink)
        axes.set_facecolor("0.9")
        axes.set_title(title)
        axes.set_xticks(range(len(batches)), batches, rotation=60, fontsize=8)
        axes.set_yticks(range(len(widths)), widths, fontsize=8)
        axes.set_xlabel("batch")
    all_axes[0].set_ylabel("width of all layers")
    figure.colorbar(image, ax=all_axes, label="ps an operation (us a million)")
    figure.supxlabel(textwrap.fill(caption, int(19 * size[0])), fontsize=7)
    figure.savefig(path, dpi=150)
