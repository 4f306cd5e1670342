"""`hydra.sweeper.repeats`: a trial is the mean over runs with so many seeds, and may be pruned between them.

The runs lie in `<trial>/seed-<seed>`, one after another. With `hydra/sweeper/pruner=wilcoxon` a trial ends early when its seeds
so far are worse than those of the best one, seed by seed.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from hydra.core.utils import JobReturn, JobStatus
from optuna.exceptions import UpdateFinishedTrialError

from gacsnn.errors import Pruned, TakenOverError
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.leases import TAKEN_OVER
from gacsnn.sweep.pruning import is_pruned

if TYPE_CHECKING:
    from gacsnn.sweep.loop import Sweep


def launch(sweep: "Sweep", trials: Sequence[optuna.Trial], jobs: Mapping[int, Sequence[list[str]]]) -> list[JobReturn]:
    """Run the jobs of each trial, the first ones together, then the second ones, ... Returns what came of each trial."""
    ended: dict[int, JobReturn] = {}
    values: dict[int, list[list[float]]] = {trial.number: [] for trial in trials}
    for index in range(sweep.options.repeats):
        going = [trial for trial in trials if trial.number not in ended]
        if not going:
            break
        now = [jobs[trial.number][index] for trial in going]
        returns = sweep.launcher.launch(now, initial_job_idx=min(trial.number for trial in going))
        for trial, returned in zip(going, returns, strict=True):
            if returned.status != JobStatus.COMPLETED or sweep.options.repeats == 1:
                ended[trial.number] = returned
                continue
            value: Any = returned._return_value
            so_far = values[trial.number]
            so_far.append(list(value) if isinstance(value, Sequence) else [value])
            if len(so_far) == sweep.options.repeats:
                mean = [statistics.fmean(column) for column in zip(*so_far, strict=True)]
                ended[trial.number] = JobReturn(status=JobStatus.COMPLETED, _return_value=mean)
            elif len(so_far[0]) == 1 and (
                reason := why_not(trial, [each[0] for each in so_far], sweep.options.repeats)
            ):
                ended[trial.number] = JobReturn(status=JobStatus.FAILED, _return_value=reason)
    return [ended[trial.number] for trial in trials]


def why_not(trial: optuna.Trial, values: Sequence[float], repeats: int) -> Exception | None:
    """Why a trial with these values so far is to have no further seed: it is not promising, or another's by now."""
    try:
        hopeless = is_hopeless(trial, len(values) - 1, values[-1])
    except UpdateFinishedTrialError:
        return TakenOverError(TAKEN_OVER)
    mean = statistics.fmean(values)
    said = f"stopped early after {len(values)} of {repeats} seeds: {mean:.4g} is not promising"
    return Pruned(said) if hopeless else None


@uninterrupted()
def is_hopeless(trial: optuna.Trial, index: int, value: float) -> bool:
    """Whether a trial is not worth another seed, given its value with the index-th one."""
    trial.report(value, index)
    return is_pruned(trial.study, trial._trial_id)
