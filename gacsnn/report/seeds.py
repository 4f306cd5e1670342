"""Runs of a sweep by everything but the seed: what varies, and means over the seeds on the validation and the test split."""

from collections.abc import Sequence

from gacsnn.report.rows import Row, repeated_seeds, value_of, varying
from gacsnn.report.table import Align, numbers

Table = tuple[list[tuple[str, ...]], list[str], list[Align]]


def repeated(rows: Sequence[Row]) -> bool:
    """Whether any settings were run with more than one seed."""
    return any(row.n > 1 for row in rows)


def seed_table(rows: Sequence[Row]) -> Table:
    """The rows as cells, with the headers and the alignment of their columns. A column that says nothing is left out."""
    made: dict[str, tuple[list[str], Align]] = {}
    for name in varying(rows):
        values = [value_of(row, name) for row in rows]
        header = name.removesuffix(".name")
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        made[header] = (numbers(values), "right") if numeric else (list(map(str, values)), "left")
    made["n"] = [str(row.n) for row in rows], "right"
    for header, name in (("validation top-1 %", "validation_top1"), ("test top-1 %", "top1")):
        made[header] = [mean_of(row, name) for row in rows], "right"
    made["energy mJ"] = numbers([None if (s := row.stat("energy_mj")) is None else s.mean for row in rows]), "right"
    columns: dict[str, tuple[list[str], Align]] = {
        name: (cells, align) for name, (cells, align) in made.items() if any(cells)
    }
    cells: list[tuple[str, ...]] = list(zip(*(column for column, _ in columns.values()), strict=True))
    aligned: list[Align] = [align for _, align in columns.values()]
    return cells, list(columns), aligned


def seed_notes(rows: Sequence[Row]) -> list[str]:
    """Return a note for each row with a seed that ran more than once."""
    found = [(named(row, rows), note) for row in rows if (note := repeated_seeds(row))]
    return [f"{name}: {note}" if name else note for name, note in found]


def mean_of(row: Row, name: str) -> str:
    """Mean ± deviation; where not all seeds know the figure, of how many."""
    stat = row.stat(name)
    if stat is None:
        return ""
    return f"{stat} (n={stat.n})" if stat.n < row.n else str(stat)


def best_row(rows: Sequence[Row], objective: str, higher: bool) -> Row | None:
    """The settings with the best mean over their seeds, of those that have the most: a mean over few is luckier."""
    most = max((row.n for row in rows), default=0)
    known = [
        (stat.mean if higher else -stat.mean, row)
        for row in rows
        if row.n == most and (stat := row.stat(objective)) is not None
    ]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def named(row: Row, rows: Sequence[Row]) -> str:
    """`T=2 encoder=gac`: the row by what varies."""
    return " ".join(f"{name.removesuffix('.name')}={value_of(row, name)}" for name in varying(rows))
