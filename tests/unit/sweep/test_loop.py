"""The start of a sweep that goes on."""

from pathlib import Path

import optuna
from optuna.trial import TrialState

from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.sweep.loop import remove_leftovers_of_finished


def test_leftovers_of_finished_trials_are_removed_unless_run_is_locked(tmp_path: Path) -> None:
    study = optuna.create_study()
    for run, state in (("0", TrialState.COMPLETE), ("1", TrialState.RUNNING), ("2", TrialState.PRUNED)):
        value = 1.0 if state == TrialState.COMPLETE else None
        study.add_trial(optuna.trial.create_trial(state=state, value=value, user_attrs={"run": run}))
        (tmp_path / run / "checkpoints").mkdir(parents=True)
        for folder in (tmp_path / run, tmp_path / run / "checkpoints"):
            (folder / ".result.json.123.tmp").touch()
    with RunDirectory(tmp_path / "2").lock("output_dir"):
        (tmp_path / "2" / ".result.json.456.tmp").touch()
        remove_leftovers_of_finished(study, tmp_path)
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob(".*.tmp"))
    assert left == ["1/.result.json.123.tmp", "1/checkpoints/.result.json.123.tmp", "2/.result.json.456.tmp"]
    remove_leftovers_of_finished(study, tmp_path)
    assert not any((tmp_path / "2").rglob(".*.tmp"))
    assert not (tmp_path / "1" / ".lock").exists()
