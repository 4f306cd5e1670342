"""How far a study is, and what is best so far: in a line after each trial, and as a bar on a terminal."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from gacsnn.runtime.console import duration, log
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import TAKEN_FROM, effective_trials, is_suspended, is_taken_up_again
from gacsnn.sweep.memory import OUT_OF_MEMORY
from gacsnn.sweep.patient import impatient
from gacsnn.sweep.storage import run_of

# The option whose values are not ranked.
SEED = "seed"

# The states of trials that came to their end.
DONE = (TrialState.COMPLETE, TrialState.PRUNED)

# Seconds between looks at the storage.
CHECK_EVERY = 1.0


def finished(study: optuna.Study) -> int:
    """The trials that are over; one that lacked memory is tried again, and one that was interrupted goes on."""
    return sum(is_over(trial) for trial in own_trials(study))


def count_done(study: optuna.Study) -> int:
    """Return the number of trials that came to their end, which excludes those that failed."""
    return sum(trial.state in DONE for trial in own_trials(study))


def count_failed(study: optuna.Study) -> int:
    """Return the number of trials that failed by themselves, and are not tried again."""
    return sum(trial.state == TrialState.FAIL and not is_taken_up_again(trial) for trial in own_trials(study))


def is_over(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and OUT_OF_MEMORY not in trial.user_attrs and not is_suspended(trial)


def own_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that answer for this study, without those that were taken from another."""
    return [trial for trial in effective_trials(study) if TAKEN_FROM not in trial.user_attrs]


def warn_of_missing_runs(study: optuna.Study, folder: Path) -> None:
    """Warn in one line of finished trials whose run directory is gone."""
    ended = [trial for trial in own_trials(study) if trial.state in DONE and "run" in trial.user_attrs]
    gone = [str(trial.number) for trial in ended if not run_of(trial, folder).is_dir()]
    if gone:
        log.warning(
            f"trial {', '.join(gone)}: the run directory in {folder} is gone; the study keeps the score, and has no weights"
        )


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The Pareto front; with one objective the best trial, of several that are as good the earliest.

    Where seeds are searched, all trials of the settings with the best mean over them: one seed is no better than another.
    """
    if not any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        return []
    if len(study.directions) > 1:
        return sorted(study.best_trials, key=lambda trial: trial.number)
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    groups = by_settings(study)
    seeds = max(map(len, groups))  # a mean over few is luckier
    return min(
        (group for group in groups if len(group) == seeds), key=lambda group: (sign * mean_of(group), group[0].number)
    )


def by_settings(study: optuna.Study) -> list[list[FrozenTrial]]:
    """The complete trials, those together that differ by a searched seed alone; each by itself where none is searched."""
    groups: dict[Any, dict[Any, FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        settings = tuple(sorted((name, repr(value)) for name, value in trial.params.items() if name != SEED))
        group = groups.setdefault(settings if SEED in trial.params else trial.number, {})
        group.setdefault(trial.params.get(SEED), trial)  # another with the same seed is the same run
    return [list(group.values()) for group in groups.values()]


def mean_of(trials: Sequence[FrozenTrial]) -> float:
    """Of their first objective."""
    return statistics.fmean(trial.values[0] for trial in trials)


def best_so_far(study: optuna.Study, objectives: Sequence[str]) -> str:
    """`best validation_top1 96.3 (trial 2)`; "" before the first trial is complete."""
    best = best_trials(study)
    if not best:
        return ""
    if len(objectives) > 1:
        return f"{len(best)} on the Pareto front"
    if SEED not in best[0].params:
        return f"best {objectives[0]} {best[0].values[0]:.4g} (trial {best[0].number})"
    label = "mean" if len(by_settings(study)) == 1 else "best mean"
    seeds = "1 seed" if len(best) == 1 else f"{len(best)} seeds"
    return f"{label} {objectives[0]} {mean_of(best):.4g} (over {seeds})"


def seconds_left(study: optuna.Study, n_trials: int, at_once: int) -> float | None:
    """How long the trials that are left will take, if they are as the finished ones; None before one is complete.

    `at_once` trials run here; those that others run just now count as well.
    """
    trials = own_trials(study)
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        return None
    timed = [trial.duration for trial in trials if trial.state in DONE and "reused" not in trial.user_attrs]
    seconds = [time_taken.total_seconds() for time_taken in timed if time_taken is not None]
    left = n_trials - sum(map(is_over, trials))
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    if not seconds or left <= 0:
        return None
    return sum(seconds) / len(seconds) * left / min(left, max(at_once, running + 1))


def status(study: optuna.Study, n_trials: int, objectives: Sequence[str], at_once: int = 1) -> str:
    """`5 of 20 trials done, best validation_top1 96.3 (trial 2), about 3 min 20 s left`."""
    failed = count_failed(study)
    parts = [f"{count_done(study)} of {n_trials} trials done", f"{failed} failed" if failed else ""]
    parts.append(best_so_far(study, objectives))
    if (left := seconds_left(study, n_trials, at_once)) is not None:
        parts.append(f"about {duration(left)} left")
    return ", ".join(part for part in parts if part)


def scores(objectives: Sequence[str], values: Sequence[float]) -> str:
    """`validation_top1 96.3, energy_mj 0.0013`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(objectives, values, strict=True))


class StudyBar:
    """One line on a terminal; nothing elsewhere."""

    def __init__(self, study: optuna.Study, n_trials: int, objectives: Sequence[str]) -> None:
        self.study = study
        self.objectives = objectives
        self.bar = tqdm(
            total=n_trials,
            desc=f"study {study.study_name}",
            unit="trial",
            leave=False,
            disable=None,
            dynamic_ncols=True,
        )
        self.looked = -CHECK_EVERY

    def __enter__(self) -> "StudyBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def watch(self) -> None:
        """Look at the study, if there is a terminal and the last look is a while ago."""
        if self.bar.disable or time.monotonic() - self.looked < CHECK_EVERY:
            return
        self.looked = time.monotonic()
        try:
            with uninterrupted(), impatient():  # Ctrl-C within a transaction would leave the storage locked
                done, best = finished(self.study), best_so_far(self.study, self.objectives)
        except Exception:  # a storage that is away for a while: the next look may reach it
            return
        self.bar.set_postfix_str(best, refresh=False)
        self.bar.update(done - self.bar.n)
        self.bar.refresh()
