"""How the job of a trial ended, and what of it is the trial's own doing."""

import math
from collections.abc import Sequence
from contextlib import suppress
from signal import SIGINT, Signals
from typing import Any

import optuna
from hydra.core.utils import JobReturn, JobStatus
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from gacsnn.config.messages import first_line
from gacsnn.errors import GpuMemoryError, Pruned, StorageError, TakenOverError, UnavailableError, is_machine_fault
from gacsnn.runtime.signals import requested, uninterrupted
from gacsnn.sweep.claims import FAULT, INTERRUPTED, ORPHANED, STOPPED, finish_early
from gacsnn.sweep.leases import TAKEN_OVER, owner
from gacsnn.sweep.memory import OUT_OF_MEMORY, REMEDIES, next_remedy, tried
from gacsnn.sweep.patient import impatient
from gacsnn.sweep.status import scores
from gacsnn.sweep.workers import is_orphaned

# What torch says, in errors of no kind of their own, when the host is out of memory.
HOST_MEMORY = ("can't allocate memory", "not enough memory", "out of shared memory", "killed by signal: Killed")


@uninterrupted()
def tell(study: optuna.Study, objectives: Sequence[str], trial: optuna.Trial, returned: Any) -> str:
    """Tell the study how a job ended. Returns it in words.

    Raises:
        StorageError: when the storage is away for good.
    """
    if is_over(study, trial):
        return TAKEN_OVER
    try:
        value = value_of(returned)
    except Pruned as pruned:
        with suppress(UpdateFinishedTrialError):  # `end` finds out as well
            study._storage.set_trial_user_attr(trial._trial_id, "reason", str(pruned))
        return str(pruned) if end(study, trial, TrialState.PRUNED) else TAKEN_OVER
    except StorageError:
        raise
    except Exception as error:
        reason, mark, then = first_line(error), "died" if is_machines(error) else "", ""
        ending = FAULT if isinstance(error, UnavailableError) else ""
        if isinstance(error, GpuMemoryError):
            remedy = next_remedy(trial.user_attrs)
            mark, reason = ("", reason + tried(trial.user_attrs)) if remedy is None else (OUT_OF_MEMORY, reason)
            then = "" if remedy is None else f"; it is tried again, {REMEDIES[remedy]}"
        if not isinstance(error, TakenOverError):
            finish_early(study, trial, reason, mark, ending)
        return f"failed: {reason}{then}"
    values = list(value) if isinstance(value, Sequence) else [value]
    if any(not isinstance(v, int | float) or not math.isfinite(v) for v in values):
        reason = f"{objectives} came out as {values}"
        finish_early(study, trial, reason)
        return f"failed: {reason}"
    return f"done, {scores(objectives, values)}" if end(study, trial, values=values) else TAKEN_OVER


def value_of(returned: JobReturn) -> Any:
    """What a job returned, or raised; Hydra's own way to ask for it prints the job's whole command line."""
    if returned.status == JobStatus.COMPLETED:
        return returned._return_value
    raise returned._return_value


def is_over(study: optuna.Study, trial: optuna.Trial) -> bool:
    """Whether a trial of this process is finished without its doing: it was held for dead."""
    return study._storage.get_trial(trial._trial_id).state.is_finished()


def end(
    study: optuna.Study, trial: optuna.Trial, state: TrialState | None = None, values: list[float] | None = None
) -> bool:
    """Finish a trial; False when another process was faster."""
    try:
        study.tell(trial, values=values, state=state)
    except (UpdateFinishedTrialError, ValueError):  # the second one for what it found finished before it began
        if not is_over(study, trial):
            raise
        return False
    return True


def end_own(study: optuna.Study, error: BaseException) -> None:
    """Write down how the trials of this process ended, when an error or a signal ends the process before they are done.

    A storage that is away is not waited for: then the next start finds that this process is gone.
    """
    reason, ending = first_line(error), FAULT if isinstance(error, UnavailableError) else ""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        number = requested()
        reason = f"stopped by {Signals(number).name}" if number and number != SIGINT else INTERRUPTED
        reason, ending = ("the process of its sweep was killed", ORPHANED) if is_orphaned() else (reason, STOPPED)
    with suppress(StorageError), impatient():
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get("owner") == owner():
                finish_early(study, trial, reason, "died", ending)


def is_machines(error: Exception) -> bool:
    """Whether the machine failed, and not the trial, which is then taken up again.

    The host's memory is the machine's: others use it, too. A GPU's is the trial's, and has remedies of its own (`memory.py`).
    """
    said = str(error)
    return is_machine_fault(error) or any(words in said for words in HOST_MEMORY)
