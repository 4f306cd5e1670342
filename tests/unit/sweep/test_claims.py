"""Who takes which trial, and what becomes of trials that die."""

import time

import optuna

from gacsnn.sweep.claims import claim, effective_trials, finish_early
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


def test_a_silent_trial_of_another_machine_is_taken_up_when_its_lease_is_over() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    trial = claim(study, 1, 2, 60.0, lambda rank: optuna.samplers.RandomSampler())
    assert trial is not None
    trial.set_user_attr("owner", {"host": "elsewhere", "boot": "", "pid": 1, "start": "1"})
    assert claim(study, 1, 2, 60.0, lambda rank: optuna.samplers.RandomSampler()) is None
    trial.set_user_attr("lease", time.time() - 1)
    again = claim(study, 1, 2, 60.0, lambda rank: optuna.samplers.RandomSampler())
    assert again is not None
    assert again.user_attrs["retry_of"] == 0
    assert study.trials[0].user_attrs["reason"].startswith("nothing was heard")
