"""How far a study is."""

from datetime import datetime, timedelta

import optuna
import pytest
from optuna.trial import TrialState

from gacsnn.sweep.status import seconds_left, status
from gacsnn.sweep.storage import open_study


def study_of(*trials: tuple[TrialState, float]) -> optuna.Study:
    """A study of trials that took so many seconds."""
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for state, seconds in trials:
        begun = datetime(2026, 1, 1)
        trial = optuna.trial.create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None)
        trial.datetime_start = begun
        trial.datetime_complete = begun + timedelta(seconds=seconds) if state.is_finished() else None
        study.add_trial(trial)
    return study


COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING


@pytest.mark.parametrize(
    ("trials", "at_once", "left"),
    [
        ((), 1, None),
        (((PRUNED, 10.0),), 1, None),
        (((COMPLETE, 100.0),), 1, 900.0),
        (((COMPLETE, 100.0), (PRUNED, 50.0), (FAIL, 1.0)), 1, 7 * 75.0),
        (((COMPLETE, 100.0), (RUNNING, 0.0)), 1, 9 * 100.0 / 2),
        (((COMPLETE, 100.0),), 3, 300.0),
        (((COMPLETE, 100.0),) * 8 + ((RUNNING, 0.0),) * 2, 1, 100.0),
        (((COMPLETE, 100.0),) * 10, 1, None),
    ],
)
def test_the_time_left_is_told_from_the_trials_that_are_done(
    trials: tuple[tuple[TrialState, float], ...], at_once: int, left: float | None
) -> None:
    assert seconds_left(study_of(*trials), 10, at_once) == left


def test_the_status_says_it() -> None:
    assert status(study_of((COMPLETE, 100.0)), 3, ["validation_top1"]) == (
        "1 of 3 trials done, best validation_top1 1 (trial 0), about 3 min 20 s left"
    )
