"""The trials of a study, each with what its run says of it."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.sweep.storage import runs_of

ACCURACY, ENERGY = "validation_top1", "energy_mj"


@dataclass(frozen=True)
class Tried:
    """`score` is the first objective, or what was last reported of it; `result` the content of the run's `result.json`, of a
    complete trial; `curve` the top-1 on the validation split by epoch, in percent.
    """

    trial: FrozenTrial
    score: float | None
    objectives: Mapping[str, float]
    result: Mapping[str, Any]
    curve: Sequence[tuple[int, float]]

    @property
    def complete(self) -> bool:
        return self.trial.state == TrialState.COMPLETE

    def value(self, name: str) -> float | None:
        """An objective, or a number of the result; None where it is neither, or not finite."""
        found = self.objectives.get(name, self.result.get(name))
        return found if isinstance(found, int | float) and math.isfinite(found) else None

    def said(self) -> str:
        """`trial 3: T=2, optimizer.lr=0.01, 96.3`."""
        params = [f"{name}={short(value)}" for name, value in self.trial.params.items()]
        score = [] if self.score is None else [f"{self.score:.4g}"]
        return f"trial {self.trial.number}: {', '.join([*params, *score])}"


def short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def tried(trials: Iterable[FrozenTrial], objectives: Sequence[str], folder: Path) -> list[Tried]:
    return [read(trial, objectives, folder) for trial in trials]


def read(trial: FrozenTrial, objectives: Sequence[str], folder: Path) -> Tried:
    """A run directory that is gone or damaged leaves its trial with what the storage knows."""
    reported = sorted(trial.intermediate_values.items())
    complete = trial.state == TrialState.COMPLETE
    score = trial.values[0] if complete else reported[-1][1] if reported else None
    values = dict(zip(objectives, trial.values, strict=True)) if complete else {}
    result: Mapping[str, Any] = {}
    runs = runs_of(trial, folder) if complete and "run" in trial.user_attrs else []
    curve = (
        reported if objectives[0] == ACCURACY and len(runs) < 2 else []
    )  # of a mean over seeds, scores of seeds were reported
    if runs:
        try:
            results = [RunDirectory(run).read_result() or {} for run in runs]
            result = results[0] if len(results) == 1 else means(results)
            if not curve:
                lines = RunDirectory(runs[0]).read_metrics()
                curve = [(line["epoch"], line[ACCURACY]) for line in lines if ACCURACY in line]
        except InputError:
            pass  # task=table, which needs it whole, says what is wrong with it
    if score is not None and not math.isfinite(score):
        score = None
    return Tried(trial, score, values, result, curve)


def means(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of each number that all results have."""
    names = [name for name in results[0] if all(type(result.get(name)) in (int, float) for result in results)]
    return {name: statistics.fmean(result[name] for result in results) for name in names}


def front(points: Sequence[tuple[float, float]], low_x: bool = True, high_y: bool = True) -> list[tuple[float, float]]:
    """Of points (x, y) those that no other beats in both, along x; lower x is better, and higher y, or as said."""
    x_sign, y_sign = (1 if low_x else -1), (-1 if high_y else 1)
    found: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (x_sign * point[0], y_sign * point[1])):
        if not found or y_sign * y < y_sign * found[-1][1]:
            found.append((x, y))
    return sorted(found)


def groups(all_tried: Sequence[Tried]) -> dict[str, list[Tried]]:
    """By T, in order of its numbers; where T is not searched, by the first parameter of up to six names; else all in one."""
    names = dict.fromkeys(name for tried in all_tried for name in tried.trial.params)
    values = {name: {tried.trial.params.get(name) for tried in all_tried} for name in names if name != "seed"}
    words = [name for name, found in values.items() if 1 < len(found) <= 6 and all(isinstance(v, str) for v in found)]
    by = "T" if "T" in values else next(iter(words), None)
    if by is None:
        return {"complete": list(all_tried)}
    made: dict[Any, list[Tried]] = {}
    for one in all_tried:
        made.setdefault(one.trial.params.get(by), []).append(one)
    order = sorted(made, key=lambda value: (isinstance(value, str), value) if value is not None else (True, ""))
    return {f"{by}={value}": made[value] for value in order}
