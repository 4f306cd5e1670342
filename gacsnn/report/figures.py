"""Figures as PNG, for papers and slides: how one is written, and the curves of a table's rows. Those of pages are `svg.py`'s."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gacsnn.runtime.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL = 60  # characters in a line of the legend


def save(path: Path, draw: "Callable[[Axes], object]", size: tuple[float, float] = (6.4, 4.2)) -> Path:
    """Draw on the axes of a new figure of that size in inches, and write it as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and most runs end without a figure
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)  # needs no display
    draw(figure.add_subplot())
    # The picture grows with what stands beside the axes: in one of a given size, long labels leave no room for the curves.
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120, bbox_inches="tight"))
    return path


def curves(axes: "Axes", rows: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Top-1 by epoch: of each row the mean over its runs, and the range of them as a band."""
    for label, runs in rows.items():
        length = min(map(len, runs))
        epochs = range(1, length + 1)
        steps = [[run[index] for run in runs] for index in range(length)]
        means = [sum(step) / len(step) for step in steps]
        name = textwrap.fill(f"{label} (n={len(runs)})", LABEL)
        (line,) = axes.plot(epochs, means, label=name, marker="o" if length == 1 else "")
        if len(runs) > 1:
            axes.fill_between(epochs, list(map(min, steps)), list(map(max, steps)), color=line.get_color(), alpha=0.15)
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel="top-1, %", title="Top-1 by epoch: mean and range over seeds")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
