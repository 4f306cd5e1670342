"""`-m ... plan=true`: what a sweep will take. A few steps at each setting that matters to it are run, and nothing else is."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher

from gacsnn.config.messages import first_line
from gacsnn.errors import InputError
from gacsnn.runtime.console import duration, gib, hush, log, mib
from gacsnn.runtime.cores import share
from gacsnn.runtime.provenance import provenance
from gacsnn.sweep.about import is_begun
from gacsnn.sweep.compose import Compose
from gacsnn.sweep.endings import value_of
from gacsnn.sweep.jobs import in_folder
from gacsnn.sweep.loop import Checked, check, check_alike
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.planned import Plan, Point, write_plan
from gacsnn.sweep.points import all_values, endpoints, grid_point
from gacsnn.sweep.question import written
from gacsnn.sweep.search import Search
from gacsnn.sweep.status import finished
from gacsnn.sweep.storage import load_study

# Settings that are measured; where there are more, only the ends of each option are.
MOST = 12

# What is searched and makes no difference to time and memory.
NO_MATTER = ("seed", "optimizer.", "scheduler.", "loss.", "neuron.", "augmentation.", "dataset.split_seed")

# For how many workers the time is said, beside those asked for.
WORKERS = (1, 2, 4, 8)


def plan_sweep(options: SweepOptions, search: Search, folder: Path, compose: Compose, launcher: Launcher) -> None:
    """Check a sweep, measure it, say what it will take, and write that to `plan.json`.

    Raises:
        InputError: for a mistake in the sweep, or where nothing can be measured.
    """
    checked = check(options, search, compose)
    done = 0
    if is_begun(folder, options.study_name or folder.name):
        study, _objectives = load_study(folder)
        check_alike(study, options, checked.identity)
        done = finished(study)
    points = []
    for params in settings(search):
        points.append(measured(options, search, compose, launcher, params))
        if len(points) == 1:
            log.info("\n".join(points[0].figures.get("assumed", ())))
        log.info(f"{written(params) or 'all settings'} {point_line(points[-1])}")
    if not any(point.seconds for point in points):
        raise InputError(f"plan=true: nothing could be timed; {points[0].error or 'no trial fits into the memory'}")
    figures = next(point.figures for point in points if point.seconds)
    made_by = provenance(compose(search.overrides(at(search, points[0].params))), figures["device"], figures["kernels"])
    about = {
        "study": options.study_name or folder.name,
        "trials": checked.n_trials,
        "repeats": options.repeats,
        **{name: made_by[name] for name in ("git_commit", "versions", "device", "machine")},
        "identity": checked.identity,
    }
    plan = Plan(about, points)
    folder.mkdir(parents=True, exist_ok=True)
    path = write_plan(folder, plan)
    log.info("\n".join([*lines(options, search, checked, plan, done, folder), f"written to {path}"]))


def settings(search: Search) -> Iterator[dict[str, Any]]:
    """The settings that are measured: all that matter, or, where these are many, the ends of each option, or its two extremes."""
    names = [name for name in search.space if not name.startswith(NO_MATTER)]
    ends = [endpoints(search.space[name]) for name in names]
    extremes = [[values[0], values[-1]] for values in ends]
    for values in (everything(search, names), ends, extremes):
        if values is not None and len(found := list(itertools.product(*values))) <= MOST:
            return (dict(zip(names, point, strict=True)) for point in found)
    return (dict(zip(names, point, strict=True)) for point in zip(*extremes, strict=True))


def everything(search: Search, names: list[str]) -> list[list[Any]] | None:
    try:
        return [all_values(name, search.space[name]) for name in names]
    except InputError:  # a continuous one
        return None


def measured(
    options: SweepOptions, search: Search, compose: Compose, launcher: Launcher, params: Mapping[str, Any]
) -> Point:
    """Run a few steps with these parameters, as a worker would."""
    overrides = search.overrides(at(search, params))
    hardware = compose(overrides).hardware
    cores = sorted(os.sched_getaffinity(0))
    if options.n_jobs > 1 and hardware.threads is None:
        overrides.append(f"hardware.threads={len(share(cores, 0, options.n_jobs))}")
    with tempfile.TemporaryDirectory(prefix="gacsnn-") as elsewhere, hush(True):
        (returned,) = launcher.launch([[*overrides, *in_folder(Path(elsewhere))]], initial_job_idx=0)
        try:
            return Point(params, value_of(returned))
        except InputError:
            raise
        except Exception as error:  # a GPU's memory may be at an end, or a kernel not be there for these values
            return Point(params, {}, first_line(error))


def at(search: Search, params: Mapping[str, Any]) -> dict[str, Any]:
    """These parameters, and the first value of all others."""
    return {**{name: endpoints(distribution)[0] for name, distribution in search.space.items()}, **params}


def point_line(point: Point) -> str:
    figures = point.figures
    if point.error is not None:
        return f"failed: {point.error}"
    if point.seconds is None:
        return f"would not fit: a step takes {mib(figures['memory_bytes'])} of {gib(figures['free_bytes'])} that may be used"
    step = f"a step {1000 * figures['step_seconds']:.3g} ms, {mib(figures['memory_bytes'])}"
    return f"a run takes about {duration(point.seconds)} ({step})"


def lines(options: SweepOptions, search: Search, checked: Checked, plan: Plan, done: int, folder: Path) -> list[str]:
    """The sum of it: trials, hours by workers, memory, disk, and what would not fit."""
    known = [point for point in plan.points if point.seconds is not None]
    left = max(0, checked.n_trials - done)
    each = trial_seconds(options, search, checked, plan)
    mean = sum(each) / len(each) if each else 0.0
    again = options.confirm.top * options.confirm.seeds if options.confirm else 0
    seconds, runs_in_all = mean * left + mean / options.repeats * again, left * options.repeats + again
    kinds = (
        f"{checked.n_trials} trials" + (f", {done} done" if done else "") + (f", {again} to confirm" if again else "")
    )
    workers = sorted({*WORKERS, options.n_jobs})
    by = ", ".join(f"{hours(seconds / count)} by {count}" for count in workers)
    as_these = "as large a share of a machine as was measured"
    memory = max(point.figures["memory_bytes"] for point in known)
    free = min(point.figures["free_bytes"] for point in known)
    disk, there = max(point.figures["disk_bytes"] for point in known), shutil.disk_usage(folder).free
    at_once = "" if options.n_jobs == 1 else f", {mib(options.n_jobs * memory)} at once"
    between = dict.fromkeys(duration(pick(point.seconds or 0.0 for point in known)) for pick in (min, max))
    made = [
        f"study {plan.about['study']}: {kinds}; a run takes {' to '.join(between)}",
        f"time: {by} workers, each with {as_these} ({known[0].figures['device']})",
        f"memory: a step's tensors take up to {mib(memory)}{at_once}, of {gib(free)} that may be used",
        f"disk: up to {mib(disk * runs_in_all)}, of {mib(there)}",
    ]
    if known[0].figures["on_gpu"]:
        made.append(f"GPU hours: {seconds * known[0].figures['processes'] / 3600:.3g}")
    wrong = [f"would not fit: {written(point.params)}" for point in plan.points if point.seconds is None]
    wrong += ["would not fit: so many workers at once"] if options.n_jobs * memory > free else []
    wrong += ["would not fit: the disk is too small"] if disk * runs_in_all > there else []
    return [*made, *wrong]


def trial_seconds(options: SweepOptions, search: Search, checked: Checked, plan: Plan) -> list[float]:
    """What each trial will take: of a grid all, of other searches one of each setting, as if all were as likely."""
    if options.sampler_name == "GridSampler":
        found = [plan.seconds(grid_point(search.space, index)) for index in range(checked.n_trials)]
    else:
        found = [plan.seconds(point.params) for point in plan.points]
    return [seconds for seconds in found if seconds is not None]


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else duration(seconds)
