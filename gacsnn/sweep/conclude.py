"""The end of a sweep: the test split of the best trials, and what was found."""

from filelock import FileLock
from optuna.trial import FrozenTrial

from gacsnn.errors import SweepError
from gacsnn.runtime.console import labelled, log
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.sweep.claims import given_up
from gacsnn.sweep.loop import Sweep, overrides_of
from gacsnn.sweep.status import best_trials, finished, scores
from gacsnn.sweep.storage import run_of


def conclude(sweep: Sweep) -> None:
    """When all trials are done: read the test split for the best ones, and show what was found."""
    done = finished(sweep.study)
    if done < sweep.n_trials:
        log.info(f"study {sweep.name}: {done} of {sweep.n_trials} trials done; others are at work on the rest")
        return
    best = best_trials(sweep.study)
    ties = len(sweep.study.best_trials) if len(sweep.options.objectives) == 1 else 1
    if ties > 1:
        log.info(f"study {sweep.name}: {ties} trials share the best {sweep.options.objectives[0]}; the earliest counts")
    test_best(sweep)
    for trial in best:
        values = scores(sweep.options.objectives, trial.values)
        params = " ".join(f"{name}={value}" for name, value in trial.params.items())
        log.info(f"best: trial {trial.number}, {values}: {params} -> {run_of(trial, sweep.folder)}")
    log.info(f"python launch.py task=study study={sweep.folder} shows the study")
    if lost := given_up(sweep.study):
        numbers = ", ".join(str(trial.number) for trial in lost)
        raise SweepError(
            f"study {sweep.name}: {len(lost)} trials were given up (trial {numbers}), each after "
            f"hydra.sweeper.max_retries={sweep.options.max_retries} retries that finished no further epoch; the last: "
            f"{lost[-1].user_attrs['died']}"
        )


def test_best(sweep: Sweep) -> None:
    """Read the test split with the best trials, where it is to be read and nobody has yet."""
    if sweep.options.test == "best":
        # Of several processes that conclude, one tests; the others wait and find it done.
        with FileLock(sweep.folder / ".conclude.lock"):
            for trial in untested(sweep):
                read_test_split(sweep, trial)


def untested(sweep: Sweep) -> list[FrozenTrial]:
    """The best trials whose test split is to be read and has not been."""
    if sweep.options.test != "best":
        return []
    results = [(trial, RunDirectory(run_of(trial, sweep.folder)).read_result()) for trial in best_trials(sweep.study)]
    return [trial for trial, result in results if result is None or result["top1"] is None]


def read_test_split(sweep: Sweep, trial: FrozenTrial) -> None:
    """Read the test split with the run of this trial."""
    path = run_of(trial, sweep.folder)
    names = [*overrides_of(sweep, trial), "task.test=true", f"resume='{path}'"]
    names = [name for name in names if name != "task.test=false"]
    job = [*names, f"hydra.sweep.subdir='{path.name}'"]
    with labelled(f"trial {trial.number}: "):
        (returned,) = sweep.launcher.launch([job], initial_job_idx=trial.number)
    returned.return_value  # noqa: B018  raises what the job raised
