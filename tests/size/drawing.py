"""The growth of a run as a picture: six small plots with logarithmic axes, and a line of what is linear."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

from tests.size.growing import MEASURES, Run

NAMES = {
    "licensed": "licensed for the first time",
    "again": "again, nothing to do",
    "preview": "previewed: all read and planned",
}


def draw(runs: Sequence[Run], file: Path) -> None:
    """Write the picture as SVG."""
    mpl.rcParams.update(
        {
            "svg.hashsalt": "size",
            "svg.fonttype": "none",
            "font.size": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    figure, plots = pyplot.subplots(2, 3, figsize=(10, 5.4), layout="constrained")
    for plot, (name, of) in zip(plots.flat, MEASURES, strict=True):
        for kind, label in NAMES.items():
            chosen = [run for run in runs if run.name == kind]
            if not chosen:
                continue
            plot.plot([run.members for run in chosen], [of(run) for run in chosen], marker="o", label=label)
        first = next(run for run in runs if run.name == "licensed")
        sizes = sorted({run.members for run in runs})
        plot.plot(sizes, [of(first) * size / first.members for size in sizes], "--", color="grey", label="linear")
        plot.set(xscale="log", yscale="log", title=name, xlabel="members")
        plot.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    plots[0, 0].legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
