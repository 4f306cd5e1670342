"""`hydra.sweeper.budget_hours` and `budget_gpu_hours`: a trial that would take more than is left of them is not started.

Hours are those of trials, added up over all workers and starts; what a trial will take says the sweep's plan, or else the mean of
those that have ended.
"""

from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.runtime.cores import visible_gpus
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import ENDING, EXCESS, KILLED, OVER_BUDGET, TAKEN_FROM, finish_early
from gacsnn.sweep.leases import RENEWALS
from gacsnn.sweep.planned import read_plan
from gacsnn.sweep.status import DONE, own_trials
from gacsnn.sweep.workers import array_worker, sweep_worker

if TYPE_CHECKING:
    from gacsnn.sweep.loop import Sweep

# The attribute of a study whose budget is at an end: which budget that was. A larger one goes on.
SPENT = "budget_spent"


def budgets(sweep: "Sweep") -> dict[str, float]:
    """What is limited, in hours."""
    given = {"budget_hours": sweep.options.budget_hours, "budget_gpu_hours": sweep.options.budget_gpu_hours}
    return {name: hours for name, hours in given.items() if hours is not None}


@uninterrupted()
def is_spent(sweep: "Sweep") -> bool:
    """Whether the sweep has ended because of its budget, before all its trials were done."""
    if not budgets(sweep) or sweep.study.user_attrs.get(SPENT) != budgets(sweep):
        return False
    return done(sweep) < sweep.n_trials


def done(sweep: "Sweep") -> int:
    """Trials that have ended, and are not to be taken up when there is more to spend."""
    return sum(trial.state.is_finished() and OVER_BUDGET not in trial.user_attrs for trial in own_trials(sweep.study))


@uninterrupted()
def refused(sweep: "Sweep", trial: optuna.Trial) -> str | None:
    """Why a trial is not started, and with that none is any more; None: it is."""
    if not budgets(sweep):
        return None
    trials = [trial for trial in sweep.study.get_trials(deepcopy=False) if TAKEN_FROM not in trial.user_attrs]
    seconds = expected(sweep, trials, trial)
    for name, hours in budgets(sweep).items():
        each = gpus(sweep, trial) if name == "budget_gpu_hours" else 1
        spent = sum(taken(other, seconds) for other in trials if other.number != trial.number) * each / 3600
        if spent + seconds * each / 3600 > hours:
            reason = (
                f"not started: of hydra.sweeper.{name}={hours:g}, {min(spent, hours):.3g} are spent, or will be by the trials at "
                f"work, and it would take about {seconds * each / 3600:.2g}"
            )
            sweep.study.set_user_attr(SPENT, budgets(sweep))
            if "retry_of" in trial.user_attrs:  # it is to be taken up again when there is more to spend
                sweep.study._storage.set_trial_user_attr(trial._trial_id, OVER_BUDGET, True)
                finish_early(sweep.study, trial, reason, "died")
            else:
                finish_early(sweep.study, trial, reason, EXCESS)
            return reason
    return None


def expected(sweep: "Sweep", trials: list[FrozenTrial], trial: optuna.Trial) -> float:
    """Seconds that a trial will take; 0 where nothing is known yet."""
    plan = read_plan(sweep.folder)
    if plan is not None and plan.about.get("identity") == sweep.study.user_attrs.get("identity"):
        return plan.seconds(trial.params) or 0.0
    ended = [other for other in trials if other.state in DONE and "reused" not in other.user_attrs]
    # Between two rungs a trial is one of its own, and its part of a run; else one that was stopped early says less than a whole.
    whole = [other for other in ended if other.state == TrialState.COMPLETE] if sweep.options.rungs is None else ended
    seconds = [taken(other, 0.0) for other in whole or ended]
    return sum(seconds) / len(seconds) if seconds else 0.0


def taken(trial: FrozenTrial, seconds: float) -> float:
    """Seconds that a trial took; one at work at least as many as are expected.

    One whose process was killed ended when that was last heard of, and not when somebody found it dead, perhaps days later.
    Its start and its lease are times of its own machine, which those of another machine are not compared with.
    """
    if trial.datetime_start is None:
        return 0.0
    took = trial.duration.total_seconds() if trial.duration is not None else 0.0
    heard = took
    if "lease" in trial.user_attrs:
        heard = max(0.0, trial.user_attrs["lease"] - trial.datetime_start.timestamp())
        heard += trial.user_attrs["lease_seconds"] / RENEWALS
    if trial.state == TrialState.RUNNING:
        return max(seconds, heard)
    if "died" in trial.user_attrs and ENDING not in trial.user_attrs:  # as earlier versions left it, whoever ended it
        took = min(took, heard)
    return heard if trial.user_attrs.get(ENDING) == KILLED else took


def gpus(sweep: "Sweep", trial: optuna.Trial) -> int:
    """GPUs that a trial holds; one, where none is seen, as on the machine that submits to a cluster."""
    processes = sweep.compose(sweep.search.overrides(trial.params)).hardware.processes
    if isinstance(processes, int):
        return processes
    has_its_share = array_worker() or sweep_worker() is not None
    return max(1, len(visible_gpus()) // (1 if has_its_share else sweep.options.n_jobs))
