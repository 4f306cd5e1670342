"""What counts as spent."""

from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from gacsnn.sweep.budget import taken

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
