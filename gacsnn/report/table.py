"""Tables: rows of cells as text for a terminal, Markdown or LaTeX, and as csv."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from tabulate import tabulate

from gacsnn.runtime.files import write_text

Align = Literal["left", "right"]
Style = Literal["plain", "github", "latex_booktabs"]


def text(
    rows: Iterable[Sequence[str]], headers: Sequence[str], align: Sequence[Align], style: Style = "plain"
) -> list[str]:
    """The lines of a table. Cells are shown as they are: text that looks like a number stays text."""

    def clean(cells: Sequence[str]) -> list[str]:
        cells = [" ".join(cell.split()) for cell in cells]  # a line break would tear the row
        return [cell.replace("|", r"\|") for cell in cells] if style == "github" else cells

    head, body = clean(headers), [clean(cells) for cells in rows]
    if style == "plain":  # tabulate widens a column with a header; a first row is as wide as it is
        head, body = [], [head, *body]
    made = tabulate(
        body,
        headers=head,
        colalign=align,
        tablefmt="pipe" if style == "github" else style,  # tabulate's "github" drops the alignment
        disable_numparse=True,
    )
    return [line.rstrip() for line in made.splitlines()]


def numbers(values: Sequence[float | None]) -> list[str]:
    """The cells of a column of numbers, all in one notation, with as few digits as say them and about four at most."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, int) for value in known):
        return ["" if value is None else str(value) for value in values]
    finite = [value for value in known if math.isfinite(value)]
    sizes = [abs(value) for value in finite if value] or [1.0]
    if min(sizes) < 0.01 or max(sizes) >= 1e6:
        notation, most = "e", 3
    else:
        notation, most = "f", max(2, 3 - math.floor(math.log10(max(sizes))))
    enough = (d for d in range(most) if all(float(f"{value:.{d}{notation}}") == value for value in finite))
    digits = next(enough, most)
    return ["" if value is None else f"{value:.{digits}{notation}}" for value in values]


def write_csv(path: Path, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Numbers in full; None is an empty cell."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(rows)
    write_text(path, made.getvalue())
