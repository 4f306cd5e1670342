"""What came of confirming a search (`confirm.py`): its best trials with fresh seeds. Needs the studies alone."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import uninterrupted
from gacsnn.statistics import interval
from gacsnn.sweep.about import CONFIRMS
from gacsnn.sweep.claims import effective_trials
from gacsnn.sweep.storage import run_of

# Of a sweep that confirms another: which trial of that one it runs again.
CANDIDATE = "candidate"


def folder_of(search: Path, n_trials: int) -> Path:
    """Where a search of so many trials is confirmed: one of more trials may have other candidates."""
    return search / f"{CONFIRMS}{n_trials}"


@dataclass(frozen=True)
class Confirmed:
    """A trial of the search, and what its configuration scored with each fresh seed."""

    candidate: FrozenTrial
    trials: Mapping[int, FrozenTrial]

    @property
    def scores(self) -> list[float]:
        return [trial.values[0] for trial in self.trials.values()]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores)

    def between(self) -> str:
        """The 95 % interval of the mean; "" of one seed."""
        low, high = interval(self.scores)
        return "" if len(self.scores) < 2 else f"{low:.4g} to {high:.4g}"

    def tested(self, folder: Path) -> str:
        """Top-1 on the test split, mean ± standard deviation, where it was read."""
        results = [RunDirectory(run_of(trial, folder)).read_result() for trial in self.trials.values()]
        found = [result["top1"] for result in results if result is not None and result.get("top1") is not None]
        deviation = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
        return f"{statistics.fmean(found):.2f}{deviation}" if found else ""


@uninterrupted()
def confirmed(search: optuna.Study, confirming: optuna.Study) -> list[Confirmed]:
    """What came of it, the best mean first."""
    found: dict[int, dict[int, FrozenTrial]] = {}
    for trial in effective_trials(confirming):
        if trial.state == TrialState.COMPLETE:
            found.setdefault(trial.params[CANDIDATE], {})[trial.params["seed"]] = trial
    searched = search.get_trials(deepcopy=False)
    made = [Confirmed(searched[number], dict(sorted(trials.items()))) for number, trials in found.items()]
    sign = -1 if search.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(made, key=lambda one: (sign * one.mean, one.candidate.number))
