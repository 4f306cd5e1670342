"""What counts as spent."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from gacsnn.sweep.budget import expected, gpus, refused, taken
from gacsnn.sweep.claims import TAKEN_FROM
from gacsnn.sweep.workers import ARRAY, WORKER

BEGUN = datetime(2026, 1, 1, 22, 0)


def ended(after: timedelta, **attributes: Any) -> FrozenTrial:
    trial = optuna.trial.create_trial(state=TrialState.FAIL, user_attrs={"lease_seconds": 60.0, **attributes})
    trial.datetime_start, trial.datetime_complete = BEGUN, BEGUN + after
    return trial


@pytest.mark.parametrize(
    ("found_after", "heard_after", "seconds"),
    [
        (timedelta(hours=12), timedelta(minutes=5), 315),  # killed at night, found by the start of the next morning
        (timedelta(minutes=5), timedelta(minutes=5), 300),  # told by itself
        (timedelta(minutes=5), timedelta(hours=2), 300),  # the clock of another machine
        (timedelta(minutes=5), timedelta(hours=-2), 15),
    ],
)
def test_a_trial_that_was_killed_took_no_longer_than_it_was_heard_of(
    found_after: timedelta, heard_after: timedelta, seconds: float
) -> None:
    trial = ended(found_after, died="its process is gone", lease=(BEGUN + heard_after).timestamp())
    assert taken(trial, 0.0) == pytest.approx(seconds)


def test_a_trial_that_failed_by_itself_took_its_time() -> None:
    trial = ended(timedelta(hours=1), lease=(BEGUN + timedelta(minutes=5)).timestamp())
    assert taken(trial, 0.0) == 3600


@pytest.mark.parametrize(
    ("environment", "visible", "found"),
    [({}, "0,1,2,3", 2), ({WORKER: "0/1"}, "2,3", 2), ({ARRAY: "1"}, "0,1", 2), ({}, "", 1)],
)
def test_a_trial_on_all_gpus_of_its_worker_holds_those(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], visible: str, found: int
) -> None:
    """A worker sees its share alone; the process that starts all sees all."""
    for name, value in {**environment, "CUDA_VISIBLE_DEVICES": visible}.items():
        monkeypatch.setenv(name, value)
    config = SimpleNamespace(hardware=SimpleNamespace(processes="gpus"))
    sweep: Any = SimpleNamespace(
        compose=lambda _: config,
        search=SimpleNamespace(overrides=lambda _: []),
        options=SimpleNamespace(n_jobs=2),
    )
    trial: Any = SimpleNamespace(params={})
    assert gpus(sweep, trial) == found


@pytest.mark.parametrize(("rungs", "seconds"), [(None, 600.0), (object(), 330.0)])
def test_what_a_trial_will_take_is_known_before_one_is_complete(tmp_path: Path, rungs: object, seconds: float) -> None:
    sweep: Any = SimpleNamespace(
        folder=tmp_path, options=SimpleNamespace(rungs=rungs), study=SimpleNamespace(user_attrs={})
    )

    def of(state: TrialState, took: float) -> FrozenTrial:
        trial = optuna.trial.create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None)
        trial.datetime_start, trial.datetime_complete = BEGUN, BEGUN + timedelta(seconds=took)
        return trial

    new: Any = SimpleNamespace(params={})
    paused = [of(TrialState.PRUNED, 60.0)]
    assert expected(sweep, [], new) == 0.0
    assert expected(sweep, paused, new) == 60.0, "and not nothing, which any budget has left"
    assert expected(sweep, [*paused, of(TrialState.COMPLETE, 600.0)], new) == seconds


@pytest.mark.parametrize(("attributes", "starts"), [({TAKEN_FROM: "older/3"}, True), ({}, False)])
def test_budget_with_trials_from_another_study_counts_own_trials_alone(
    tmp_path: Path, attributes: dict[str, Any], starts: bool
) -> None:
    study = optuna.create_study()
    study.add_trial(ended(timedelta(hours=10), **attributes))
    sweep: Any = SimpleNamespace(
        folder=tmp_path,
        study=study,
        options=SimpleNamespace(rungs=None, budget_hours=1.0, budget_gpu_hours=None),
    )
    assert (refused(sweep, study.ask()) is None) == starts


def test_expected_seconds_with_a_reused_trial_are_those_of_the_others(tmp_path: Path) -> None:
    sweep: Any = SimpleNamespace(
        folder=tmp_path, options=SimpleNamespace(rungs=None), study=SimpleNamespace(user_attrs={})
    )
    trials = [ended(timedelta(seconds=100)), ended(timedelta(0), reused=True)]
    for trial in trials:
        trial.state, trial.values = TrialState.COMPLETE, [1.0]
    new: Any = SimpleNamespace(params={})
    assert expected(sweep, trials, new) == 100.0
