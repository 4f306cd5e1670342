"""How trials say that they ended, when their process did before them."""

import os
import signal

import optuna
import pytest

from gacsnn.errors import StorageError
from gacsnn.report.trial_table import state_of
from gacsnn.runtime import signals
from gacsnn.runtime.signals import StopRequested
from gacsnn.sweep.claims import claim, effective_trials, is_suspended, reap_dead
from gacsnn.sweep.endings import end_own
from gacsnn.sweep.leases import owner
from gacsnn.sweep.storage import open_study
from gacsnn.sweep.workers import WORKER


def begun() -> optuna.Study:
    """A study with one trial, at work in this process."""
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    assert claim(study, 1, 2, 60.0, lambda index: optuna.samplers.RandomSampler(seed=index)) is not None
    return study


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGINT, "interrupted by the user"),
        (signal.SIGTERM, "stopped by SIGTERM"),
        (signal.SIGHUP, "stopped by SIGHUP"),
    ],
)
def test_a_trial_stopped_by_a_signal_names_it(
    number: signal.Signals, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begun()
    monkeypatch.setattr(signals._requests, "number", number)
    end_own(study, KeyboardInterrupt() if number == signal.SIGINT else StopRequested(128 + number))
    (trial,) = study.trials
    assert (trial.user_attrs["reason"], state_of(trial)) == (reason, "INTERRUPTED")
    assert is_suspended(trial)


def test_a_trial_of_a_worker_whose_sweep_was_killed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    study = begun()
    monkeypatch.setattr(signals._requests, "number", signal.SIGTERM)  # which the kernel sends
    monkeypatch.setenv(WORKER, f"0/{os.getppid() + 1}")
    end_own(study, StopRequested(143))
    (trial,) = study.trials
    assert (trial.user_attrs["reason"], state_of(trial)) == ("the process of its sweep was killed", "KILLED")
    assert is_suspended(trial), "which was not the trial's doing"


def test_a_trial_whose_process_was_killed_is_shown_as_killed_before_and_after_somebody_notes_it() -> None:
    study = begun()
    assert state_of(study.trials[0]) == "RUNNING"
    study._storage.set_trial_user_attr(study.trials[0]._trial_id, "owner", {**owner(), "start": "1"})
    assert state_of(study.trials[0]) == "KILLED"
    reap_dead(study, 1, 0)
    (trial,) = effective_trials(study)
    assert state_of(trial) == "KILLED"
    assert trial.user_attrs["reason"].endswith("was killed")


def test_a_trial_of_a_process_whose_storage_was_away_uses_up_no_retry() -> None:
    study = begun()
    end_own(study, StorageError("the storage is away"))
    assert is_suspended(study.trials[0])
