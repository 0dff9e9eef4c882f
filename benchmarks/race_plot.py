"""The race as a bar chart: each contender's time of a step over the least that is possible."""

import textwrap

from contenders import CONTENDERS
from matplotlib.figure import Figure
from race_report import REFERENCE, microseconds

COLORS = {
    "fastbp": "#d1495b",
    "torch": "#f4b183",
    "torch-compile": "#c77f3c",
    "jax-step": "#9ec5e8",
    "jax-scan": "#2e6da4",
    "sklearn": "#b7b7b7",
    "keras": "#777777",
}


def plot(results, names, caption, path):
    """Write the chart of `results` to the file `path`, with the lines of `caption` below it."""
    inches = max(8, 1.5 * len(results))
    figure = Figure(figsize=(inches, 5), layout="constrained")
    axes = figure.add_subplot()
    width = 0.85 / len(names)
    for i, name in enumerate(names):
        raced = [(at, r) for at, r in enumerate(results) if name in r.rounds]
        places = [at + (i - (len(names) - 1) / 2) * width for at, _ in raced]
        heights = [r.best(name) / r.floor for _, r in raced]
        bars = axes.bar(
            places, heights, width, color=COLORS[name], label=CONTENDERS[name].title, zorder=2
        )
        if name == REFERENCE:
            labels = [f"{microseconds(r.best(name))} us" for _, r in raced]
            axes.bar_label(bars, labels, fontsize=7, padding=2, rotation=90)
    axes.set_yscale("log")
    axes.axhline(1, color="black", linewidth=1)
    axes.grid(axis="y", which="both", linewidth=0.3, zorder=0)
    axes.set_xticks(range(len(results)), [r.name for r in results])
    axes.set_ylabel("time of a training step / its floor at the FMA peak")
    threads = results[0].threads
    axes.set_title(f"Training on {threads} thread{'s' * (threads > 1)}; shorter is better")
    axes.legend(ncols=len(names), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    wrapped = [textwrap.fill(line, round(17 * inches)) for line in caption]
    figure.supxlabel("\n".join(wrapped), fontsize=7)
    figure.savefig(path, dpi=150)
