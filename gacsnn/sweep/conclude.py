"""The end of a sweep: the test split of the best trials, and what was found."""

from pathlib import Path

from filelock import FileLock
from optuna.trial import FrozenTrial

from gacsnn.runtime.console import labelled, log
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.sweep.loop import Sweep
from gacsnn.sweep.status import finished, scores


def conclude(sweep: Sweep) -> None:
    """When all trials are done: read the test split for the best ones, and show what was found."""
    done = finished(sweep.study)
    if done < sweep.n_trials:
        log.info(f"study {sweep.name}: {done} of {sweep.n_trials} trials done; others are at work on the rest")
        return
    best = sweep.study.best_trials
    if sweep.options.test == "best":
        with FileLock(
            sweep.folder / ".conclude.lock"
        ):  # of several processes one tests, the others wait and find it done
            for trial in best:
                read_test_split(sweep, trial)
    for trial in best:
        values = scores(sweep.options.objectives, trial.values)
        params = " ".join(f"{name}={value}" for name, value in trial.params.items())
        log.info(f"best: trial {trial.number}, {values}: {params} -> {trial.user_attrs['run']}")
    log.info(f"python launch.py task=study study={sweep.folder} shows the study")


def read_test_split(sweep: Sweep, trial: FrozenTrial) -> None:
    """Read the test split with the run of this trial, if nobody has yet."""
    run_dir = RunDirectory(Path(trial.user_attrs["run"]))
    result = run_dir.read_result()
    if result is not None and result["top1"] is not None:
        return
    path = run_dir.path
    names = [*sweep.search.overrides(trial.params), "task.test=true", f"resume='{path}'"]
    names = [name for name in names if name != "task.test=false"]
    job = [*names, f"hydra.sweep.subdir='{path.name}'"]
    with labelled(f"trial {trial.number}: "):
        (returned,) = sweep.launcher.launch([job], initial_job_idx=trial.number)
    returned.return_value  # noqa: B018  raises what the job raised
