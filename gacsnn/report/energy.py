"""The energy account of a run: `energy.csv`, and a table for the terminal."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gacsnn.report.table import Align, text
from gacsnn.report.table import write_csv as write_rows

if TYPE_CHECKING:
    from gacsnn.energy import Row


def write_csv(rows: "Sequence[Row]", path: Path) -> None:
    """A line per layer; rate_t1 ... rate_tT are empty where no spikes stand before the layer."""
    T = max(len(row.rates) for row in rows)
    steps = [f"rate_t{t + 1}" for t in range(T)]
    headers = ["layer", "part", "input", "macs", "spiking_layer", "firing_rate", *steps, "sops", "paper_mj", "full_mj"]

    def line(row: "Row") -> list[object]:
        spiking = (row.spiking_layer, row.firing_rate, *(row.rates or [None] * T))
        return [row.layer, row.part, row.input, row.macs, *spiking, row.sops, row.paper_mj, row.full_mj]

    write_rows(path, headers, map(line, rows))


def table(rows: "Sequence[Row]") -> list[str]:
    """A line per layer and a line per part: firing rates in percent, millions of operations, microjoules per image."""
    T = max(len(row.rates) for row in rows)
    parts = dict.fromkeys(row.part for row in rows)
    groups = [[row] for row in rows] + [[row for row in rows if row.part == part] for part in parts] + [list(rows)]
    blank = [""] * (len(parts) + 1)
    rates = [[100 * rate for rate in (row.firing_rate or 0.0, *row.rates)] if row.rates else None for row in rows]
    columns = {
        "layer": [*(row.layer for row in rows), *parts, "all"],
        "reads": [*(row.input for row in rows), *blank],
        "MMACs": sums(groups, lambda row: row.macs / 1e6),
        **{
            name: ["" if row is None else f"{row[index]:.2f}" for row in rates] + blank
            for index, name in enumerate(["rate %", *(f"t={t + 1}" for t in range(T))])
        },
        "MSOPs": sums(groups, lambda row: row.sops / 1e6),
        "paper uJ": sums(groups, lambda row: 1e3 * row.paper_mj),
        "full uJ": sums(groups, lambda row: 1e3 * row.full_mj),
    }
    align: list[Align] = ["left" if name in ("layer", "reads") else "right" for name in columns]
    lines = text(list(zip(*columns.values(), strict=True)), list(columns), align)
    lines.insert(1 + len(rows), "")
    return lines


def sums(groups: "Sequence[Sequence[Row]]", value: "Callable[[Row], float]") -> list[str]:
    """The sum of each group: three decimals, or more where those would hide all of a small network."""
    found = [sum(map(value, group)) for group in groups]
    decimals = 3 - min(0, math.floor(math.log10(max(found) or 1.0)))
    return [f"{number:.{decimals}f}" for number in found]
