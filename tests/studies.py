"""A study as a sweep left it, for tests that look into it."""

import json
from pathlib import Path

import optuna
from optuna.trial import TrialState
from program import FOLDER, read_metrics, read_result

from gacsnn.sweep.about import storage_of
from gacsnn.sweep.claims import effective_trials
from gacsnn.sweep.storage import open_storage, run_of


def load(folder: Path) -> optuna.Study:
    about = json.loads((folder / "study.json").read_text())
    return optuna.load_study(study_name=about["study"], storage=open_storage(storage_of(folder, about)))


def check_whole(tmp_path: Path, n_trials: int, epochs: int = 2) -> optuna.Study:
    """No trial lost, none doubled, each with its run."""
    study = load(tmp_path / FOLDER)
    trials = effective_trials(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * n_trials
    runs = [trial.user_attrs["run"] for trial in trials if "reused" not in trial.user_attrs]
    assert len(set(runs)) == len(runs)
    for trial in trials:
        run = run_of(trial, tmp_path / FOLDER)
        if "reused" not in trial.user_attrs:
            assert run == tmp_path / FOLDER / str(trial.number)
        assert read_result(run)["config_hash"] == trial.user_attrs["config_hash"]
        assert read_result(run)["validation_top1"] == trial.value
        if "reused" not in trial.user_attrs:
            assert json.loads((run / "trial.json").read_text())["trial"] == trial.number
        assert [line["epoch"] for line in read_metrics(run)] == list(range(1, epochs + 1))
    return study
