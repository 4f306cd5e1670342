"""Who takes which trial, and what becomes of trials that die."""

import signal
import threading
import time
from datetime import datetime, timedelta
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from gacsnn.runtime import signals
from gacsnn.runtime.signals import StopRequested
from gacsnn.sweep import leases
from gacsnn.sweep.claims import (
    ASKED,
    FAULT,
    INTERRUPTED,
    OVER_BUDGET,
    STOPPED,
    claim,
    effective_trials,
    finish_early,
    given_up,
    line_up_failed,
    reap_dead,
)
from gacsnn.sweep.leases import is_here, owner
from gacsnn.sweep.storage import open_study


def test_a_trial_that_dies_again_and_again_is_given_up() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for _ in range(3):
        trial = claim(study, 1, 2, 60.0, lambda rank: optuna.samplers.RandomSampler(seed=rank))
        assert trial is not None
        trial.suggest_float("x", 0, 1)
        finish_early(study, trial, "killed", "died")
    assert claim(study, 1, 2, 60.0, lambda rank: optuna.samplers.RandomSampler()) is None
    assert [trial.user_attrs.get("retry_of") for trial in study.trials] == [None, 0, 1]
    assert len({trial.params["x"] for trial in study.trials}) == 1
    assert len(effective_trials(study)) == 1


def sampler(index: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=index)


def elsewhere(study: optuna.Study, seconds: float) -> optuna.Trial:
    """A trial that a process on another machine runs."""
    trial = claim(study, 1, 2, seconds, sampler)
    assert trial is not None
    trial.set_user_attr("owner", {"host": "elsewhere", "boot": "", "pid": 1, "start": "1"})
    return trial


@pytest.mark.parametrize("skew", [0.0, -3600.0, 3600.0])
def test_a_silent_trial_of_another_machine_is_taken_up_when_its_lease_has_not_moved(skew: float) -> None:
    """Whatever that machine's clock says. Who finds nothing else to do waits for it."""
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    elsewhere(study, 1.0).set_user_attr("lease", time.time() + skew)
    begun = time.monotonic()
    again = claim(study, 1, 2, 60.0, sampler)
    assert again is not None
    assert time.monotonic() - begun >= 1.0
    assert again.user_attrs["retry_of"] == 0
    assert study.trials[0].user_attrs["reason"].startswith("nothing was heard")


@pytest.mark.parametrize("skew", [0.0, -3600.0, 3600.0])
def test_a_trial_whose_lease_moves_is_left_alone(skew: float) -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    trial = elsewhere(study, 60.0)
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.2):
            trial.set_user_attr("lease", time.time() + skew)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        assert claim(study, 1, 2, 60.0, sampler) is None
    finally:
        over.set()
        thread.join()
    assert study.trials[0].state == TrialState.RUNNING


def test_another_container_of_this_machine_is_another_machine() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    trial = claim(study, 1, 2, 60.0, sampler)
    assert trial is not None
    held = study.trials[0].user_attrs["owner"]
    assert is_here(held)
    assert is_here({name: value for name, value in held.items() if name != "namespace"}), "an owner of an older version"
    assert not is_here({**held, "namespace": "pid:[1]"})


def test_only_retries_without_a_further_epoch_count() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for epochs in (1, 3, 4, 9, 9, 9):  # four that got on, and two that did not
        trial = claim(study, 1, 1, 60.0, sampler)
        assert trial is not None
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("epochs", epochs)
        finish_early(study, trial, "killed", "died")
    assert claim(study, 1, 1, 60.0, sampler) is None
    assert [trial.number for trial in given_up(study)] == [5]


@pytest.mark.parametrize("mark", ["died", OVER_BUDGET])
def test_who_is_stopped_by_the_user_or_the_budget_uses_up_no_retry(mark: str) -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for number in range(4):
        trial = claim(study, 1, 0, 60.0, sampler)
        assert trial is not None, f"given up after {number} interruptions"
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr(mark, INTERRUPTED)
        finish_early(study, trial, INTERRUPTED if mark == "died" else "no budget", "died")
    last = claim(study, 1, 0, 60.0, sampler)
    assert last is not None
    assert last.user_attrs["tries"] == 1
    finish_early(study, last, "killed", "died")
    assert claim(study, 1, 0, 60.0, sampler) is None, "and then, of no retries, none is left"


def test_who_was_asked_to_stop_takes_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    monkeypatch.setattr(signals._requests, "number", signal.SIGTERM)
    with pytest.raises(StopRequested):
        claim(study, 1, 1, 60.0, sampler)
    assert study.trials == []


def test_trials_that_failed_are_lined_up_again_once() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for mark in ("", "died", "done"):
        trial = claim(study, 3, 0, 60.0, sampler)
        assert trial is not None
        trial.suggest_float("x", 0, 1)
        if mark == "done":
            study.tell(trial, 1.0)
        else:
            finish_early(study, trial, "why", mark)
    assert claim(study, 3, 0, 60.0, sampler) is None
    assert line_up_failed(study) == 2
    assert line_up_failed(study) == 0, "they wait"
    failed, again = study.trials[0], study.trials[3]
    assert again.system_attrs["fixed_params"] == failed.params, "a trial that failed by itself had all its parameters"
    for number in (0, 1):
        trial = claim(study, 3, 0, 60.0, sampler)
        assert trial is not None
        assert trial.user_attrs["retry_of"] == number
        assert trial.suggest_float("x", 0, 1) == study.trials[number].params["x"]
        study.tell(trial, 1.0)
    assert claim(study, 3, 0, 60.0, sampler) is None
    assert [trial.state for trial in effective_trials(study)] == [TrialState.COMPLETE] * 3


def test_a_killed_trial_beyond_a_lowered_number_goes_on_when_the_number_is_raised() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    first, second = (claim(study, 2, 5, 60.0, sampler) for _ in range(2))
    assert first is not None
    assert second is not None
    study.tell(first, 1.0)
    second.set_user_attr("config_hash", "hash")
    second.set_user_attr("epochs", 3)
    second.set_user_attr("owner", {**owner(), "start": "1"})  # killed
    study.set_user_attr(ASKED, 1)
    assert claim(study, 1, 5, 60.0, sampler) is None
    assert [trial.number for trial in effective_trials(study)] == [0]
    assert given_up(study) == []
    study.set_user_attr(ASKED, 2)
    again = claim(study, 2, 5, 60.0, sampler)
    assert again is not None
    assert again.user_attrs["retry_of"] == second.number
    # Lined up, and the number is lowered before it runs.
    finish_early(study, again, "stopped by SIGTERM", "died", STOPPED)
    reap_dead(study, 2, 5)
    study.set_user_attr(ASKED, 1)
    assert claim(study, 1, 5, 60.0, sampler) is None
    study.set_user_attr(ASKED, 2)
    last = claim(study, 2, 5, 60.0, sampler)
    assert last is not None
    assert last.user_attrs["retry_of"] == again.number


@pytest.mark.parametrize("ahead", [timedelta(minutes=-5), timedelta(0), timedelta(minutes=5)])
def test_a_trial_without_an_owner_is_killed_by_our_clock_whatever_its_own_says(
    ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    begun = optuna.trial.create_trial(state=TrialState.RUNNING)
    begun.datetime_start = datetime.now() + ahead
    study.add_trial(begun)
    for waited, dies in ((0.0, False), (leases.UNOWNED, False), (1.0, True)):
        now[0] += waited
        assert (leases.dead(study, study.trials[0]) is not None) == dies


def test_a_machines_fault_uses_up_no_retry() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for number in range(5):
        trial = claim(study, 1, 0, 60.0, sampler)
        assert trial is not None, f"given up after {number} faults"
        finish_early(study, trial, "no space left on device", "died", FAULT)
    assert given_up(study) == []
