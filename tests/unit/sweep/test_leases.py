"""Leases: they move on while their owner lives, and who is gone is told from who is not."""

import time
from types import SimpleNamespace

import optuna
import pytest

from gacsnn.sweep import leases
from gacsnn.sweep.claims import claim
from gacsnn.sweep.leases import dead, in_doubt, lease, owner
from gacsnn.sweep.storage import open_study


def begun(seconds: float = 60.0) -> tuple[optuna.Study, optuna.Trial]:
    """A study with one trial at work, that of this process."""
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    trial = claim(study, 1, 2, seconds, lambda index: optuna.samplers.RandomSampler(seed=index))
    assert trial is not None
    return study, trial


def test_the_owner_of_a_trial_renews_its_lease_again_and_again() -> None:
    study, trial = begun()
    values = set()
    with lease(study, trial._trial_id, 0.2):
        deadline = time.monotonic() + 10
        while len(values) < 3 and time.monotonic() < deadline:
            values.add(study.trials[0].user_attrs["lease"])
            time.sleep(0.01)
    assert len(values) == 3
    assert study.trials[0].user_attrs["lease_seconds"] == 0.2


def test_another_machines_trial_lives_as_long_as_its_lease_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own. Its lease lasts 10 s."""
    now = [100.0]
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    study, trial = begun(10.0)
    trial.set_user_attr("owner", {"host": "elsewhere", "boot": "", "pid": 1, "start": "1"})

    def look() -> tuple[bool, bool]:
        (found,) = study.trials
        return dead(study, found) is not None, in_doubt(study, found)

    assert look() == (False, True), "it may be gone already"
    for renewal in range(8):
        trial.set_user_attr("lease", float(renewal))
        now[0] += 9.0
        assert look() == (False, False), "it was heard of"
    now[0] += 9.0
    assert look() == (False, False)
    now[0] += 2.0
    assert look()[0], "11 s after the last renewal that was seen"


def test_a_process_of_the_same_number_that_began_at_another_time_is_another() -> None:
    study, trial = begun()
    assert dead(study, study.trials[0]) is None
    trial.set_user_attr("owner", {**owner(), "start": "1"})
    reason = dead(study, study.trials[0])
    assert reason is not None
    assert reason.endswith("was killed")
