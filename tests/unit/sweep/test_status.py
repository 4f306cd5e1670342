"""How far a study is."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from gacsnn.errors import InputError
from gacsnn.sweep import conclude
from gacsnn.sweep.claims import INTERRUPTED
from gacsnn.sweep.status import best_so_far, best_trials, finished, seconds_left, status, warn_of_missing_runs
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


def test_a_trial_that_was_interrupted_is_not_done() -> None:
    study = study_of((COMPLETE, 100.0))
    for died in (INTERRUPTED, "its process was killed"):
        study.add_trial(optuna.trial.create_trial(state=FAIL, user_attrs={"died": died}))
    assert finished(study) == 2, "one that died goes on, or is given up: `reap_dead` knows"
    assert status(study, 3, ["validation_top1"]).startswith("1 of 3 trials done, best")
    assert seconds_left(study, 3, 1) == 100.0


def seeds(*values: tuple[int, int, float]) -> optuna.Study:
    """Trials of T, seed and score."""
    space = {"T": optuna.distributions.IntDistribution(1, 8), "seed": optuna.distributions.IntDistribution(0, 9)}
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    for T, seed, value in values:
        study.add_trial(optuna.trial.create_trial(params={"T": T, "seed": seed}, distributions=space, value=value))
    return study


def test_seeds_are_not_ranked_but_their_means_are() -> None:
    study = seeds((2, 0, 90.0), (2, 1, 92.0), (4, 0, 95.0), (4, 1, 80.0), (8, 0, 99.0), (2, 1, 92.0))
    assert [trial.number for trial in best_trials(study)] == [0, 1], "not the lucky one at T=4, nor one seed at T=8"
    assert best_so_far(study, ["validation_top1"]) == "best mean validation_top1 91 (over 2 seeds)"
    assert best_so_far(seeds((2, 0, 90.0), (2, 1, 92.0)), ["top1"]) == "mean top1 91 (over 2 seeds)"


def scored(*values: tuple[float, ...], directions: tuple[str, ...]) -> optuna.Study:
    study = open_study("s", optuna.storages.InMemoryStorage(), list(directions), {})
    for each in values:
        study.add_trial(optuna.trial.create_trial(values=list(each)))
    return study


def best(*values: tuple[float, ...], directions: tuple[str, ...]) -> list[int]:
    return [trial.number for trial in best_trials(scored(*values, directions=directions))]


def test_the_best_trial_is_that_of_the_direction_and_of_equals_the_earliest() -> None:
    values = ((2.0,), (5.0,), (1.0,), (5.0,), (1.0,))
    assert best(*values, directions=("maximize",)) == [1]
    assert best(*values, directions=("minimize",)) == [2]
    assert best_so_far(scored(*values, directions=("minimize",)), ["loss"]) == "best loss 1 (trial 2)"


def test_of_two_objectives_the_best_are_those_that_no_other_beats_in_both() -> None:
    values = ((90.0, 3.0), (95.0, 4.0), (94.0, 5.0), (80.0, 1.0))
    assert best(*values, directions=("maximize", "minimize")) == [0, 1, 3]


def test_a_finished_trial_whose_run_directory_is_gone_is_named_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = optuna.create_study(direction="maximize")
    for run in ("0", "1"):
        study.add_trial(optuna.trial.create_trial(state=COMPLETE, value=float(run), user_attrs={"run": run}))
    (tmp_path / "0").mkdir()
    warn_of_missing_runs(study, tmp_path)
    assert [record.getMessage().partition(" in ")[0] for record in caplog.records] == ["trial 1: the run directory"]
    options = SimpleNamespace(test="best", confirm=None, repeats=1)
    sweep: Any = SimpleNamespace(study=study, folder=tmp_path, options=options)
    with pytest.raises(InputError, match=r"trial 1: its run directory .*1 is gone"):
        conclude.test_best(sweep)
    assert [path.name for path in tmp_path.iterdir()] == ["0"], "something was created"
