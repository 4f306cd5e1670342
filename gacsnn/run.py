"""One run: its config -> the task that it asks for. Neither Hydra nor torch: what is wrong is said before torch is imported."""

from collections.abc import Collection
from pathlib import Path

from gacsnn.config.schema import Config
from gacsnn.errors import file_errors
from gacsnn.report.benchmark import show_growth
from gacsnn.runtime.console import log, speak
from gacsnn.runtime.ranks import this_rank
from gacsnn.runtime.run_dir import OnEpochEnd, Result
from gacsnn.runtime.signals import imported
from gacsnn.tasks.checks import again, check_names, check_normalised, checked, stands_alone
from gacsnn.tasks.least import large_for_gpu

# What `task=NAME` runs: a module with `run(config, overridden, on_epoch_end)`, imported when it is asked for.
TASKS = {
    "train": "gacsnn.tasks.train",
    "evaluate": "gacsnn.tasks.evaluate",
    "energy": "gacsnn.tasks.energy",
    "benchmark": "gacsnn.tasks.benchmark",
    "study": "gacsnn.tasks.study",
    "table": "gacsnn.tasks.table",
    "diff": "gacsnn.tasks.diff",
}

# Those that need a network, and so torch and a device.
OF_NETWORKS = ("train", "evaluate", "energy", "benchmark")


def run(config: Config, overridden: Collection[str] | None = None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    """Do the task of a config. Returns what `result.json` holds.

    Args:
        config: the checked config.
        overridden: the options that the user set, dotted; others are taken from the run that is resumed, or from the
            checkpoint that is evaluated. None: all were set.
        on_epoch_end: called after each epoch of a training with its line of `metrics.jsonl`; it may raise Pruned.

    Raises:
        InputError: for anything wrong in config, data or checkpoint, before any work and with nothing written.
        DivergenceError: when the loss is no longer finite.
        Pruned: as `on_epoch_end` does.
        DifferentError: when a run that is run again (`rerun`) does not come out the same.
        GpuMemoryError: when a GPU has too little memory for it.
        MachineError: when the disk is full, or one of several processes ends before the others.
    """
    speak()
    with file_errors("this run"):
        return run_task(*check(config, overridden), on_epoch_end)


def run_task(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None) -> Result:
    """Do the task of a checked config in this process, in processes of its own, or as one of a launcher's."""
    task = "gacsnn.tasks.plan" if config.plan else TASKS[config.task.name]
    if this_rank().size > 1:
        return imported("gacsnn.tasks.together").as_member(task, config, overridden, on_epoch_end)
    processes = config.hardware.processes
    if isinstance(processes, int) and processes > 1 and not stands_alone(config):
        return imported("gacsnn.tasks.spawn").spawn(config, overridden, on_epoch_end)
    return imported(task).run(config, overridden, on_epoch_end)


def conclude_grid(config: Config, folder: Path) -> None:
    """What is said below the jobs of a plain grid: how to see them together. `config` is one of theirs."""
    if config.plan:
        return
    if config.task.name == "train":
        log.info(
            f"\npython launch.py task=study study={folder} shows them; task=table runs={folder} puts them into a table"
        )
    elif config.task.name == "benchmark":
        show_growth(folder)


def check_job(config: Config, overridden: Collection[str] | None) -> None:
    """For one of many runs, before the first: all that can be known to be wrong with it, with torch where only that can tell.

    Raises:
        InputError: for whatever it is. Nothing is written.
    """
    config, _ = check(config, overridden)
    named = config.checkpoint is not None or config.resume is not None
    gpu = config.hardware.device == "cuda" or config.hardware.cuda_graphs is True
    if config.task.name in OF_NETWORKS and not stands_alone(config) and (named or gpu or large_for_gpu(config)):
        imported("gacsnn.tasks.ahead").check(config)


def check(config: Config, overridden: Collection[str] | None) -> tuple[Config, Collection[str] | None]:
    """The config that is run, and what counts as set by the user: with `resume` and `rerun`, of the saved run too.

    Raises:
        InputError: for what can be known to be wrong without torch. Nothing is written.
    """
    check_normalised(config, overridden)
    check_names(config)
    config, overridden = again(config, overridden)
    return checked(config, overridden), overridden
