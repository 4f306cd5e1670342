"""`plan.json`, what a sweep will take: written by `plan.py`, read to hold it against what it took, and by the budget."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gacsnn.config import text
from gacsnn.errors import InputError
from gacsnn.runtime.files import write_text

FILE = "plan.json"


@dataclass(frozen=True)
class Point:
    """What was measured at some values of the searched options; `error`: why it was not. Times in seconds, sizes in bytes."""

    params: Mapping[str, Any]
    figures: Mapping[str, Any]
    error: str | None = None

    @property
    def seconds(self) -> float | None:
        """What a trial takes; None where it does not fit."""
        return self.figures.get("seconds")


@dataclass(frozen=True)
class Plan:
    """`about`: study, number of trials, machine, versions and the like."""

    about: Mapping[str, Any]
    points: Sequence[Point]

    def seconds(self, params: Mapping[str, Any]) -> float | None:
        """What a trial with these parameters will take: as was measured, else the mean of what was; None: it does not fit."""
        for point in self.points:
            if all(params.get(name) == value for name, value in point.params.items()):
                return None if point.seconds is None else point.seconds * self.repeats
        known = [point.seconds for point in self.points if point.seconds is not None]
        return statistics.fmean(known) * self.repeats if known else None

    @property
    def repeats(self) -> int:
        """How many runs a trial is."""
        return self.about.get("repeats", 1)


def write_plan(folder: Path, plan: Plan) -> Path:
    path = folder / FILE
    content = {**plan.about, "points": [asdict(point) for point in plan.points]}
    write_text(path, text.to_json(content, indent=2) + "\n")
    return path


def read_plan(folder: Path) -> Plan | None:
    """The plan of a sweep's folder; None where there is none that can be read."""
    try:
        content = text.read_json(folder / FILE, "a plan")
        points = [Point(**point) for point in content.pop("points")]
    except (FileNotFoundError, InputError, KeyError, TypeError, AttributeError):
        return None
    return Plan(content, points)
