"""What came of confirming a search, as tables (`sweep/confirm.py`)."""

from collections.abc import Iterator
from pathlib import Path

import optuna

from gacsnn.report.table import Align, numbers
from gacsnn.sweep.confirmed import confirmed
from gacsnn.sweep.storage import load_study

Table = tuple[list[tuple[str, ...]], list[str], list[Align]]


def confirmations(study: optuna.Study, folder: Path) -> Iterator[tuple[Path, Table]]:
    """Each confirmation of a search in this folder, with its table, the best mean first."""
    for where in sorted(path.parent for path in folder.glob("confirm-*/study.json")):
        confirming, objectives = load_study(where)
        found = confirmed(study, confirming)
        if not found:
            continue
        columns: dict[str, tuple[list[str], Align]] = {"trial": ([str(one.candidate.number) for one in found], "right")}
        for name in found[0].candidate.params:
            columns[name] = numbers_or_text([one.candidate.params.get(name) for one in found])
        columns["in the search"] = numbers([one.candidate.values[0] for one in found]), "right"
        columns[f"{objectives[0]}, mean"] = numbers([one.mean for one in found]), "right"
        columns["95 % interval"] = [one.between() for one in found], "right"
        columns["n"] = [str(len(one.scores)) for one in found], "right"
        columns["test top-1 %"] = [one.tested(where) for one in found], "right"
        cells: list[tuple[str, ...]] = list(zip(*(column for column, _ in columns.values()), strict=True))
        yield where, (cells, list(columns), [align for _, align in columns.values()])


def numbers_or_text(values: list[object]) -> tuple[list[str], Align]:
    known = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return (numbers(known), "right") if len(known) == len(values) else (list(map(str, values)), "left")
