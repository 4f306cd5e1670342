"""The end of a sweep: the test split of the best trials, and what was found."""

from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from optuna.trial import FrozenTrial

from gacsnn.errors import InputError, StorageError, SweepError
from gacsnn.runtime.console import labelled, log
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.budget import budgets, done, is_spent
from gacsnn.sweep.claims import given_up, is_new
from gacsnn.sweep.confirm import confirmation, is_finished
from gacsnn.sweep.confirmed import confirmed
from gacsnn.sweep.endings import value_of
from gacsnn.sweep.jobs import overrides_of, place
from gacsnn.sweep.loop import Sweep
from gacsnn.sweep.patient import impatient
from gacsnn.sweep.points import grid_point
from gacsnn.sweep.question import written
from gacsnn.sweep.status import SEED, best_so_far, best_trials, count_done, scores
from gacsnn.sweep.storage import run_of, runs_of
from gacsnn.sweep.trial import name_of
from gacsnn.sweep.typed import quote


def conclude(sweep: Sweep) -> None:
    """When all trials are done: read the test split for the best ones, and show what was found."""
    if is_spent(sweep):
        say_spent(sweep)
        return
    confirming = confirmation(sweep)
    for part in (sweep, confirming):
        if part is not None and not is_finished(part):
            log.info(
                f"study {part.name}: {count_done(part.study)} of {part.n_trials} trials done; others are at work on the rest"
            )
            return
    best = best_trials(sweep.study)
    seeds_searched = SEED in sweep.search.space and len(sweep.options.objectives) == 1
    ties = len(sweep.study.best_trials) if len(sweep.options.objectives) == 1 and best and not seeds_searched else 1
    if ties > 1:
        log.info(f"study {sweep.name}: {ties} trials share the best {sweep.options.objectives[0]}; the earliest counts")
    test_best(sweep)
    if seeds_searched:
        say_mean(sweep, best)
    for trial in [] if seeds_searched else best:
        values = scores(sweep.options.objectives, trial.values)
        label = "best in the search" if confirming else "best"
        log.info(f"{label}: trial {trial.number}, {values}: {written(trial.params)} -> {run_of(trial, sweep.folder)}")
    if confirming is not None:
        say_confirmed(sweep, confirming)
    log.info(f"python launch.py task=study study={sweep.folder} shows the study")
    for part in (sweep, confirming):
        if part is not None and (lost := given_up(part.study)):
            numbers = ", ".join(str(trial.number) for trial in lost)
            raise SweepError(
                f"study {part.name}: {len(lost)} trials were given up (trial {numbers}), each after "
                f"hydra.sweeper.max_retries={sweep.options.max_retries} retries that finished no further epoch; "
                f"hydra.sweeper.retry=failed tries them again; the last: {lost[-1].user_attrs['died']}"
            )


def say_mean(sweep: Sweep, best: Sequence[FrozenTrial]) -> None:
    """The settings with the best mean over the seeds that were searched, none of which is better than another."""
    if best:
        settings = written({name: value for name, value in best[0].params.items() if name != SEED})
        trials = ", ".join(str(trial.number) for trial in best)
        found = best_so_far(sweep.study, sweep.options.objectives)
        log.info(f"{found}{f': {settings}' if settings else ''}: trials {trials} in {sweep.folder}")


def say_spent(sweep: Sweep) -> None:
    """What was not tried for want of budget, and what is the best so far; the test split waits for the end of the search."""
    ended = done(sweep)
    given = " ".join(f"hydra.sweeper.{name}={hours:g}" for name, hours in budgets(sweep).items())
    best = best_so_far(sweep.study, sweep.options.objectives) or "none is complete"
    or_not = f", and with hydra.sweeper.n_trials={ended} it ends here and reads the test split" if ended else ""
    log.info(
        f"study {sweep.name}: {given} is spent: {ended} of {sweep.n_trials} trials done, {sweep.n_trials - ended} not tried"
        f"{untried(sweep)}; {best}; the same command with more goes on{or_not}"
    )


def untried(sweep: Sweep, most: int = 5) -> str:
    """The points of a grid that have not been begun, in brackets; of other searches nobody knows them."""
    if sweep.options.sampler_name != "GridSampler":
        return ""
    begun = sum(map(is_new, sweep.study.get_trials(deepcopy=False)))
    points = [grid_point(sweep.search.space, index) for index in range(begun, sweep.n_trials)]
    shown = [written(point) for point in points[:most]]
    return f" ({'; '.join(shown)}{f'; and {len(points) - most} more' if len(points) > most else ''})" if shown else ""


def say_confirmed(sweep: Sweep, confirming: Sweep) -> None:
    """Each candidate with its mean over fresh seeds, the best first; that one alone has been tested."""
    for rank, one in enumerate(confirmed(sweep.study, confirming.study)):
        parts = [
            f"trial {one.candidate.number}, {sweep.options.objectives[0]} {one.mean:.4g} over {len(one.scores)} seeds",
            f"95 % interval {one.between()}" if one.between() else "",
            f"{one.candidate.values[0]:.4g} in the search",
            f"top-1 on the test split {tested}" if rank == 0 and (tested := one.tested(confirming.folder)) else "",
        ]
        label = "confirmed as the best" if rank == 0 else "confirmed"
        log.info(f"{label}: {', '.join(part for part in parts if part)}: {written(one.candidate.params)}")


def test_best(sweep: Sweep) -> None:
    """Read the test split with the best trials, where it is to be read and nobody has yet.

    Raises:
        InputError: when the run directory of one is gone.
    """
    for part, trial, run in untested(sweep):
        if not run.is_dir():
            raise InputError(
                f"{name_of(part.folder, trial.number)}: its run directory {run} is gone, and with it the weights for the test "
                "split; restore it, or give hydra.sweeper.test=none"
            )
    if sweep.options.test == "best":
        # Of several processes that conclude, one tests; the others wait and find it done.
        with FileLock(sweep.folder / ".conclude.lock"):
            for part, trial, run in untested(sweep):
                read_test_split(part, trial, run)


def untested(sweep: Sweep) -> list[tuple[Sweep, FrozenTrial, Path]]:
    """Whose test split is to be read and has not been: the best trials, or those that confirmed the best one, and their runs."""
    if sweep.options.test != "best":
        return []
    part, chosen = sweep, best_trials(sweep.study)
    if (confirming := confirmation(sweep)) is not None:
        found = confirmed(sweep.study, confirming.study)
        part, chosen = confirming, list(found[0].trials.values()) if found else []
    runs = [(trial, run) for trial in chosen for run in runs_of(trial, part.folder)]
    results = [(trial, run, RunDirectory(run).read_result()) for trial, run in runs]
    return [(part, trial, run) for trial, run, result in results if result is None or result["top1"] is None]


def read_test_split(sweep: Sweep, trial: FrozenTrial, path: Path) -> None:
    """Read the test split with a run of this trial."""
    names = [*overrides_of(sweep, trial), "task.test=true", f"resume={quote(path)}"]
    names = [name for name in names if name != "task.test=false"]
    names += [f"seed={path.name.removeprefix('seed-')}"] if sweep.options.repeats > 1 else []
    job = [*names, *place(sweep, path)]
    label = name_of(sweep.folder, trial.number)
    label += f" {path.name}" if sweep.options.repeats > 1 else ""
    with labelled(f"{label}: "):
        (returned,) = sweep.launcher.launch([job], initial_job_idx=trial.number)
    value_of(returned)


@uninterrupted()
def say_stopped(sweep: Sweep) -> None:
    """After Ctrl-C or another signal: how far it is, and that it goes on. Of a storage that is away just now nothing is known."""
    try:
        with impatient():
            done = f"{count_done(sweep.study)} of {sweep.n_trials} trials done; "
    except StorageError:
        done = ""
    log.info(f"study {sweep.name}: stopped; {done}the same command goes on with it")
