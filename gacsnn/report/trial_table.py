"""The trials of a study as rows and columns: for `trials.csv`, a terminal and a page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from gacsnn.report.pages import Cell, Table
from gacsnn.report.table import Align, numbers
from gacsnn.report.trials import ACCURACY, ENERGY, Tried
from gacsnn.report.words import word
from gacsnn.runtime.console import duration
from gacsnn.sweep import claims
from gacsnn.sweep.claims import ENDING, TAKEN_FROM, is_suspended
from gacsnn.sweep.leases import killed_here

STATES = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
    "INTERRUPTED": "interrupted",
    "KILLED": "killed",
}
# States of our own, in which the sweep goes on with a trial: the storage has FAIL, or RUNNING if nobody noted the kill yet.
INTERRUPTED, KILLED = "INTERRUPTED", "KILLED"
LAST = ("epochs", "seconds", "best", "note")
TITLES = {"seconds": "time"}  # each cell has its unit


def row(tried: Tried, objectives: Sequence[str], best: bool) -> dict[str, Any]:
    """What is shown of a trial, by the words of its columns."""
    trial = tried.trial
    shown: dict[str, Any] = dict(tried.objectives) or dict.fromkeys(objectives)
    if not tried.complete and tried.score is not None and len(objectives) == 1:
        shown = {objectives[0]: tried.score}
    measured = {name: tried.value(name) for name in (ACCURACY, ENERGY) if name not in objectives}
    return {
        "trial": trial.number,
        "state": state_of(trial),
        **trial.params,
        **shown,
        **{name: value for name, value in measured.items() if value is not None},
        "epochs": trial.user_attrs.get("epochs"),
        "seconds": trial.duration.total_seconds() if trial.duration and TAKEN_FROM not in trial.user_attrs else None,
        "best": "*" if best else "",
        "note": note(tried),
    }


def state_of(trial: FrozenTrial) -> str:
    if trial.user_attrs.get(ENDING) in (claims.KILLED, claims.ORPHANED) or killed_here(trial):
        return KILLED
    return INTERRUPTED if is_suspended(trial) else trial.state.name


def note(tried: Tried) -> str:
    attributes = tried.trial.user_attrs
    if "reused" in attributes:
        return f"taken from trial {attributes['reused']}"
    if TAKEN_FROM in attributes:
        return f"taken from {attributes[TAKEN_FROM]}"
    if tried.trial.state == TrialState.PRUNED:
        if "reason" in attributes:  # as `stopped early after epoch 3: ...`
            return attributes["reason"].partition(":")[0]
        epochs = max(tried.trial.intermediate_values, default=attributes.get("epochs"))
        return "stopped early" if epochs is None else f"stopped early after epoch {epochs}"
    if killed := killed_here(tried.trial):
        return killed
    if "retry_of" in attributes and not attributes.get("reason"):
        return f"went on with trial {attributes['retry_of']}"
    return attributes.get("reason", "")


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    tail = [name for name in LAST if name in names]
    return [name for name in names if name not in tail] + tail


def terminal(rows: Sequence[dict[str, Any]]) -> tuple[list[tuple[str, ...]], list[str], list[Align]]:
    """The trials as rows of cells, with the headers and the alignment of their columns."""
    names = columns(rows)
    made = [column(name, [row.get(name) for row in rows]) for name in names]
    cells = list(zip(*(cells for cells, _ in made), strict=True))
    return cells, [TITLES.get(name, name) for name in names], [align for _, align in made]


def page(rows: Sequence[dict[str, Any]], links: Mapping[int, str]) -> Table:
    """The same for a page, which sorts numbers by all their digits, without columns that are empty.

    Args:
        rows: of `row`.
        links: the run pages of trials, by their numbers.
    """
    titles, aligns, made = [], [], []
    for name in columns(rows):
        values = [row.get(name) for row in rows]
        texts, align = column(name, values)
        if not any(texts):
            continue
        if name == "state":
            texts = [STATES[text] for text in texts]
        titles.append(TITLES.get(name, word(name)))
        aligns.append(align)
        pages = [links.get(value) if name == "trial" and value is not None else None for value in values]
        made.append([Cell(t, key(t, v), link=to) for t, v, to in zip(texts, values, pages, strict=True)])
    return Table(titles, aligns, list(zip(*made, strict=True)))


def key(text: str, value: Any) -> float | None:
    """What a number is sorted by, where its text is less than it; what is not finite has its text."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or text == str(value):
        return None
    return value


def column(name: str, values: Sequence[Any]) -> tuple[list[str], Align]:
    known = [value for value in values if value is not None]
    if name == "seconds":
        return ["" if value is None else duration(value) for value in values], "right"
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return numbers(values), "right"
    return ["" if value is None else str(value) for value in values], "left"
