"""The energy account of a run: `energy.csv`, a table for the terminal, and a picture of the firing rates."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gacsnn.runtime.files import write_text, write_whole

if TYPE_CHECKING:
    from gacsnn.energy import Row


def write_csv(rows: "Sequence[Row]", path: Path) -> None:
    """A line a layer; rate_t1 ... rate_tT are empty where no spikes stand before the layer."""
    T = max(len(row.rates) for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    steps = [f"rate_t{t + 1}" for t in range(T)]
    head = ["layer", "part", "input", "macs", "spiking_layer", "firing_rate", *steps, "sops", "paper_mj", "full_mj"]
    writer.writerow(head)
    for row in rows:
        rates = row.rates or [""] * T
        rate = "" if row.firing_rate is None else row.firing_rate
        spiking = (row.spiking_layer, rate, *rates)
        writer.writerow([row.layer, row.part, row.input, row.macs, *spiking, row.sops, row.paper_mj, row.full_mj])
    write_text(path, text.getvalue())


def table(rows: "Sequence[Row]") -> list[str]:
    """A line a layer and a line a part: firing rates in percent, millions of operations, microjoules a picture."""
    T = max(len(row.rates) for row in rows)
    width = max(len(row.layer) for row in rows)
    steps = "".join(f"{f't={t + 1}':>7}" for t in range(T))
    sums = f"{'MSOPs':>9} {'paper uJ':>9} {'full uJ':>9}"
    lines = [f"{'layer':<{width}}  {'reads':<18} {'MMACs':>9} {'rate %':>7}{steps} {sums}"]

    def line(name: str, reads: str, rates: str, same: "Sequence[Row]") -> str:
        macs, sops = sum(row.macs for row in same) / 1e6, sum(row.sops for row in same) / 1e6
        paper, full = 1e3 * sum(row.paper_mj for row in same), 1e3 * sum(row.full_mj for row in same)
        return f"{name:<{width}}  {reads:<18} {macs:9.3f} {rates} {sops:9.3f} {paper:9.3f} {full:9.3f}"

    blank = " " * 7 * (T + 1)
    for row in rows:
        rates = "".join(f"{100 * rate:7.2f}" for rate in [row.firing_rate or 0.0, *row.rates]) if row.rates else blank
        lines.append(line(row.layer, row.input, rates, [row]))
    lines.append("")
    for part in dict.fromkeys(row.part for row in rows):
        lines.append(line(part, "", blank, [row for row in rows if row.part == part]))
    lines.append(line("all", "", blank, rows))
    return lines


def draw_rates(source: Path, picture: Path) -> None:
    """Firing rates by layer and time step, from an `energy.csv`, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with source.open(newline="") as file:
        rows = {row["spiking_layer"]: row for row in csv.DictReader(file) if row["spiking_layer"]}
    steps = [name for name in next(iter(rows.values())) if name.startswith("rate_t")]
    rates = [[100 * float(row[step]) for step in steps] for row in rows.values()]
    figure = Figure(figsize=(2.6 + 0.7 * len(steps), 1.4 + 0.28 * len(rates)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    brightest = max(max(row) for row in rates) or 1.0
    image = axes.imshow(rates, aspect="auto", cmap="viridis", vmin=0, vmax=brightest)
    for y, row in enumerate(rates):
        for x, rate in enumerate(row):
            colour = "white" if rate < 0.6 * brightest else "black"
            axes.text(x, y, f"{rate:.1f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(steps)), [str(t + 1) for t in range(len(steps))])
    axes.set_yticks(range(len(rates)), list(rows), fontsize=8)
    axes.set_xlabel("time step")
    axes.set_ylabel("spiking layer")
    axes.set_title("Firing rate, %", fontsize=10)
    figure.colorbar(image, label="%")
    write_whole(picture, lambda file: figure.savefig(file, format="png", dpi=120))
