"""Which trial is next: the rules by which many processes share one study and none can break it.

They need nothing of the storage but that trials are numbered in the order in which they were made and that a finished
trial stays finished, so they hold for SQLite, PostgreSQL, MySQL and journal files:

- A trial is *new* or takes up one that died (`retry_of`). Of the new ones the first `n_trials` count; a later one, made
  in a race between two processes, is in *excess* and ends at once. Of two that take up the same trial, the later is in
  excess.
- A running trial has an owner and a lease (`leases.py`). One whose owner is dead is FAIL, with the reason, and taken up
  again.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.runtime.signals import stop_if_requested, uninterrupted
from gacsnn.sweep.leases import MAY_LIVE, dead, in_doubt, is_here, set_owner
from gacsnn.sweep.memory import OUT_OF_MEMORY, REMEDY, next_remedy

INTERRUPTED = "interrupted by the user"

# The attribute of a trial that is taken up again: how it ended. Its process was asked to stop by a signal; it ended because
# that of its sweep was killed; it was killed itself; the machine failed. Only KILLED uses up a retry.
ENDING = "ending"
STOPPED, ORPHANED, KILLED, FAULT = "stopped", "orphaned", "killed", "fault"

# The attribute of a trial that died because there was no budget left to take it up.
OVER_BUDGET = "over_budget"

# The attribute of a trial that another study ran: where it is there.
TAKEN_FROM = "taken_from"

# The attribute of a trial whose parameters are complete, which holds the hash of its config.
PREPARED = "config_hash"

# The attribute of a study: how many trials it was asked for last.
ASKED = "n_trials"

EXCESS = "surplus"  # the attribute of a trial in excess, as it has been called in studies from the first


def is_new(trial: FrozenTrial) -> bool:
    return not trial.user_attrs.keys() & {"retry_of", EXCESS, TAKEN_FROM}


def new_trial_index(study: optuna.Study, number: int) -> int:
    """How many new trials came before."""
    return sum(is_new(trial) for trial in study.get_trials(deepcopy=False) if trial.number < number)


def reap_dead(study: optuna.Study, n_trials: int, max_retries: int) -> None:
    """Record dead trials as failed, and line up what is to be taken up again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if reason := dead(study, trial):
            note_doubt(study, trial)
            # A trial that lost a race was killed before it had parameters; one beyond a number that was lowered has epochs.
            lost = PREPARED not in trial.user_attrs and excess(study, trial, n_trials)
            finish_early(study, trial, reason, EXCESS if lost else "died", KILLED)
    trials = study.get_trials(deepcopy=False)
    taken_up = {trial.user_attrs.get("retry_of") for trial in trials if EXCESS not in trial.user_attrs}
    for trial in trials:
        if trial.state != TrialState.FAIL or trial.number in taken_up or is_beyond(trials, trial, n_trials):
            continue
        params = params_of(trials, trial)
        kept = {name: trial.user_attrs[name] for name in (REMEDY,) if name in trial.user_attrs}
        if OUT_OF_MEMORY in trial.user_attrs:
            kept[REMEDY] = next_remedy(trial.user_attrs)
            study.enqueue_trial(params, user_attrs={"retry_of": trial.number, **kept})
        elif "died" in trial.user_attrs:
            # The user may interrupt as often as he likes, and a machine that fails again and again may still get on.
            fair = is_suspended(trial) or OVER_BUDGET in trial.user_attrs or got_on(trials, trial)
            tries = trial.user_attrs.get("tries", 1) + (not fair)
            if tries <= 1 + max_retries:
                study.enqueue_trial(params, user_attrs={"retry_of": trial.number, "tries": tries, **kept})


def note_doubt(study: optuna.Study, trial: FrozenTrial) -> None:
    """Note of a trial that will be held for dead that its process may live, where it was on another machine."""
    if not is_here(trial.user_attrs.get("owner", {})):
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            study._storage.set_trial_user_attr(trial._trial_id, MAY_LIVE, True)


@uninterrupted()
def line_up_failed(study: optuna.Study) -> int:
    """Line up every trial again that is FAIL for good, with all its retries before it. Returns how many.

    Two processes that do so at once make no more trials than one: of two that take up the same one the later is in excess.
    """
    failed = [trial for trial in effective_trials(study) if trial.state == TrialState.FAIL]
    trials = study.get_trials(deepcopy=False)
    for trial in failed:
        study.enqueue_trial(params_of(trials, trial), user_attrs={"retry_of": trial.number})
    return len(failed)


def got_on(trials: list[FrozenTrial], trial: FrozenTrial) -> bool:
    """Whether a trial finished an epoch that the one it took up had not."""
    before = trials[trial.user_attrs["retry_of"]].user_attrs.get("epochs", 0) if "retry_of" in trial.user_attrs else 0
    return trial.user_attrs.get("epochs", 0) > before


def is_taken_up_again(trial: FrozenTrial) -> bool:
    """Whether a trial that is FAIL is to be lined up again, or is already."""
    return "died" in trial.user_attrs or OUT_OF_MEMORY in trial.user_attrs


def is_suspended(trial: FrozenTrial) -> bool:
    """Whether a trial ended by a signal or a fault of the machine: it goes on, however often that happens."""
    known = trial.user_attrs.get(ENDING) in (STOPPED, ORPHANED, FAULT)
    return trial.state == TrialState.FAIL and (known or trial.user_attrs.get("died") == INTERRUPTED)


def given_up(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that died once too often."""
    return [
        t
        for t in effective_trials(study)
        if t.state == TrialState.FAIL and "died" in t.user_attrs and not is_suspended(t)
    ]


def ancestors(trials: list[FrozenTrial], trial: FrozenTrial | optuna.Trial) -> list[int]:
    """The number of the trial and of those that it takes up, the latest first."""
    chain = [trial.number]
    attributes = trial.user_attrs
    while "retry_of" in attributes:
        chain.append(attributes["retry_of"])
        attributes = trials[chain[-1]].user_attrs
    return chain


def params_of(trials: list[FrozenTrial], trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters for a retry of this trial: those of the latest trial in its chain whose parameters are complete.

    A trial that was killed while it drew its parameters has a part of them; a retry then draws all again, from the same seed.
    A trial that failed by itself has all of them.
    """
    chain = [trials[number] for number in ancestors(trials, trial)]
    return next((one.params for one in chain if PREPARED in one.user_attrs or "died" not in one.user_attrs), {})


def chains(trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    """Return each configuration's trials, the first one first, each of which took up the one before; none in excess."""
    trials, found = list(trials), dict[int, list[FrozenTrial]]()
    for trial in trials:
        if EXCESS not in trial.user_attrs:
            found.setdefault(ancestors(trials, trial)[-1], []).append(trial)
    return list(found.values())


@uninterrupted()
def finish_early(
    study: optuna.Study, trial: FrozenTrial | optuna.Trial, reason: str, mark: str = "", ending: str = ""
) -> None:
    """FAIL with its reason. What is marked `died` or `out_of_memory` is taken up again; what failed by itself is not."""
    try:
        if ending:
            study._storage.set_trial_user_attr(trial._trial_id, ENDING, ending)
        study._storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        if mark:
            study._storage.set_trial_user_attr(trial._trial_id, mark, reason)
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    except optuna.exceptions.UpdateFinishedTrialError:
        return  # another process was faster


def claim(
    study: optuna.Study,
    n_trials: int,
    max_retries: int,
    seconds: float,
    sampler: Callable[[int], optuna.samplers.BaseSampler],
    promote: Callable[[], None] = lambda: None,
) -> optuna.Trial | None:
    """The next trial that this process is to run, or None when nothing is left for it to do.

    `seconds` is the first lease; `sampler` gives the sampler of the index-th new trial; `promote` lines up what is paused.
    """
    while True:
        stop_if_requested()  # before a trial is taken: one that nobody runs would count as killed
        if (trial := take(study, n_trials, max_retries, seconds, sampler, promote)) is not None:
            return trial
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if not any(in_doubt(study, other) for other in running):
            return None
        time.sleep(0.5)  # one is about to begin, or its machine may have died: nobody else would take it up


# Ctrl-C in the middle of a transaction would leave it open, and the storage locked for all, this process included.
@uninterrupted()
def take(
    study: optuna.Study,
    n_trials: int,
    max_retries: int,
    seconds: float,
    sampler: Callable[[int], optuna.samplers.BaseSampler],
    promote: Callable[[], None] = lambda: None,
) -> optuna.Trial | None:
    """A trial for this process, if there is one just now."""
    while True:
        reap_dead(study, n_trials, max_retries)
        promote()
        trials = study.get_trials(deepcopy=False)
        made = sum(map(is_new, trials))
        if made >= n_trials and not any(trial.state == TrialState.WAITING for trial in trials):
            return None
        study.sampler = sampler(made)
        trial = study.ask()
        try:
            set_owner(study, trial._trial_id, seconds)
        except optuna.exceptions.UpdateFinishedTrialError:
            continue  # this process was held up for so long that the trial is held for dead
        if excess(study, trial, n_trials):
            finish_early(study, trial, "another process was faster", EXCESS)
            continue
        first = ancestors(study.get_trials(deepcopy=False), trial)[-1]
        study.sampler = sampler(new_trial_index(study, first))
        return trial


def excess(study: optuna.Study, trial: FrozenTrial | optuna.Trial, n_trials: int) -> bool:
    """Whether this trial is one too many: beyond the number asked for, or the second that takes up the same one."""
    trials, taken_up = study.get_trials(deepcopy=False), trial.user_attrs.get("retry_of")
    if is_beyond(trials, trial, n_trials):
        return True
    rivals = [other for other in trials if taken_up is not None and other.user_attrs.get("retry_of") == taken_up]
    return any(rival.number < trial.number and EXCESS not in rival.user_attrs for rival in rivals)


def is_beyond(trials: list[FrozenTrial], trial: FrozenTrial | optuna.Trial, n_trials: int) -> bool:
    """Whether a trial's configuration is none of the first `n_trials`. It keeps its epochs for a larger number."""
    first = ancestors(trials, trial)[-1]
    return TAKEN_FROM not in trials[first].user_attrs and sum(map(is_new, trials[:first])) >= n_trials


def effective_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that answer for the study: not those that died and were taken up again, nor excess ones.

    Nor those that died beyond the number of trials that the study was last asked for.
    """
    trials = study.get_trials(deepcopy=False)
    taken_up = {trial.user_attrs.get("retry_of") for trial in trials if EXCESS not in trial.user_attrs}
    found = [trial for trial in trials if trial.number not in taken_up and EXCESS not in trial.user_attrs]
    died = {trial.number for trial in found if trial.state == TrialState.FAIL and is_taken_up_again(trial)}
    asked = study.user_attrs.get(ASKED, len(trials)) if died else 0
    return [trial for trial in found if trial.number not in died or not is_beyond(trials, trial, asked)]
