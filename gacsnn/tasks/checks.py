"""What a command line asks for, checked before torch is imported: the paths it names, and what a run that goes on may change."""

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from gacsnn.config.merge import (
    ARCHITECTURE,
    CHANGEABLE,
    MISSING,
    NAMED,
    config_hash,
    differences,
    flat,
    inherit,
    sections,
)
from gacsnn.config.saved import from_saved, to_dict
from gacsnn.config.schema import Benchmark, Config, Evaluate, ShowDiff, ShowStudy, ShowTable, Train
from gacsnn.errors import InputError, other_steps
from gacsnn.report.compare import recorded
from gacsnn.runtime.cores import visible_gpus
from gacsnn.runtime.datasets import check_files, counts_of, is_missing
from gacsnn.runtime.files import check_file, check_name
from gacsnn.runtime.ranks import this_rank
from gacsnn.runtime.run_dir import RunDirectory, check_new_directory
from gacsnn.tasks.least import check_host

AUTO = "auto"  # of `resume`: the run of the same configuration

# The tasks that read what is named by an option.
READERS = {
    "study": ("study",),
    "runs": ("table", "diff"),
    "resume": ("train",),
    "checkpoint": ("train", "evaluate", "energy"),
    "output_dir": ("train", "evaluate", "energy", "benchmark", "table"),
}

CONFIG = RunDirectory(Path()).config_path.name


def checked(config: Config, overridden: Collection[str] | None) -> Config:
    """The config of the run; with `resume`, that of the saved run and what the user overrides of it. Nothing is written.

    Raises:
        InputError: when it cannot be run.
    """
    task = config.task.name
    if config.plan and not isinstance(config.task, Train):
        raise InputError(f"plan=true: says what a training will take, and task={task} is none")
    for name in ("plan_step_seconds", "plan_images", "plan_classes"):
        if getattr(config, name) is not None and not config.plan:
            raise InputError(f"{name}={getattr(config, name)}: is read by plan=true; leave it out")
    if config.plan and config.resume is not None:
        raise InputError(f"plan=true: is for a run that begins; leave out resume={config.resume}")
    if isinstance(config.task, Train) and config.resume == AUTO:
        found = same_run(config)
        config = config.model_copy(update={"resume": None if found is None else str(found)})
    if isinstance(config.task, Train) and config.resume is not None:
        config = with_processes(resumed(config, overridden, RunDirectory(Path(config.resume))))
        check_here(config)
        return config
    if isinstance(config.task, Evaluate) and config.checkpoint is None:
        raise InputError(f"task={task}: checkpoint=FILE says what to measure, such as RUN/checkpoints/best.pt")
    if isinstance(config.task, Evaluate) and config.resume is not None:
        raise InputError(f"task={task} resume={config.resume}: only a training is resumed; give checkpoint=FILE")
    for name, readers in READERS.items():
        asked = name in ("study", "runs") or name in (overridden or ())
        if asked and getattr(config, name) is not None and task not in readers:
            others = " and ".join(f"task={reader}" for reader in readers)
            raise InputError(f"{name}={getattr(config, name)}: is read by {others}; leave it out")
    if isinstance(config.task, Train | Evaluate):
        check_new_directory(config.output_dir)
        if config.checkpoint is not None:
            check_file(Path(config.checkpoint), "checkpoint")
        check_here(expected(config, overridden))
    config = with_processes(config)
    if isinstance(config.task, Benchmark):
        if config.hardware.processes != 1 or this_rank().size > 1:
            raise InputError("task=benchmark: measures one process; leave out torchrun, srun and hardware.processes")
        check_new_directory(config.output_dir)
        check_host(config)
    if isinstance(config.task, ShowStudy) and config.study is None:
        raise InputError("task=study: study=FOLDER says which, such as study=multirun/t_lr-digits-resnet8")
    if isinstance(config.task, ShowTable) and not config.runs:
        raise InputError(
            "task=table: runs=FOLDER says which, such as runs=multirun/paper_cifar or runs=[outputs,multirun]"
        )
    if isinstance(config.task, ShowDiff) and not (isinstance(config.runs, list) and len(config.runs) == 2):
        raise InputError(
            "task=diff: runs=[A,B] says which two, such as runs=[outputs/2026-11-25/033025-digits-resnet8-gac-T4,multirun/NAME/0]"
        )
    return config


def check_names(config: Config) -> None:
    """Raises InputError for a file or folder that cannot have the name that it is given, or has none, before anything looks
    for it."""
    if config.output_dir is not None and not config.output_dir.strip():
        raise InputError("output_dir=: should be a folder; left out, it is a dated one under outputs/")
    runs = [config.runs] if isinstance(config.runs, str) else config.runs or []
    named = [(name, getattr(config, name)) for name in ("output_dir", "resume", "checkpoint", "rerun", "study")]
    for name, path in (*named, *(("runs", run) for run in runs)):
        if path is None:
            continue
        if not path.strip():
            raise InputError(f"{name}=: should be a path; leave it out where none is meant")
        check_name(name, Path(path))


def check_normalised(config: Config, overridden: Collection[str] | None) -> None:
    """Raises InputError for a mean or a deviation that was given, and an encoder that takes pixels as they are."""
    given = [name for name in ("mean", "std") if f"dataset.{name}" in (overridden or ())]
    if isinstance(config.task, Train) and given and config.encoder.name not in ("gac", "direct"):
        raise InputError(
            f"dataset.{given[0]}={getattr(config.dataset, given[0])}: encoder={config.encoder.name} takes pixels in [0, 1] as "
            "they are; leave it out"
        )


def again(config: Config, overridden: Collection[str] | None) -> tuple[Config, Collection[str] | None]:
    """With `rerun`: the config of that run with what the user overrides of it, in a directory of its own; all of it counts as
    overridden then. Without: what was given.

    Raises:
        InputError: when there is no run, or what else is asked for has no meaning with it.
    """
    if config.rerun is None:
        return config, overridden
    given = set(overridden or ())
    if config.resume is not None:
        if {"rerun", "resume"} <= given:
            raise InputError(
                f"rerun={config.rerun} resume={config.resume}: a run is run again or gone on with; give one of them"
            )
        return config, overridden  # a rerun that goes on
    if whole := sorted({"experiment", "preset", "sweeps"} & given):
        raise InputError(
            f"rerun={config.rerun}: {whole[0]}=NAME sets whole groups; name the options that are to change"
        )
    run_dir = RunDirectory(Path(config.rerun))
    point_to_run("rerun", run_dir.path)
    saved = recorded(run_dir, "rerun").config
    run_dir.check_result()
    if config.task.name != saved.task.name and "task" in given:
        raise InputError(f"rerun={run_dir.path}: that was task={saved.task.name}; leave task={config.task.name} out")
    target = None if config.output_dir is None else Path(config.output_dir)
    if target is not None and Path(os.path.realpath(target)).is_relative_to(os.path.realpath(run_dir.path)):
        raise InputError(
            f"output_dir={target}: in the run that is run again, which stays as it is; give another folder"
        )
    if isinstance(saved.task, Train):  # and what was measured of its images is measured again
        unknown = {**dict.fromkeys(saved.dataset.measured), "measured": []}
        saved = saved.model_copy(update={"dataset": saved.dataset.model_copy(update=unknown)})
    if "model" in given and not {"model.layout", "dataset", "dataset.layout"} & given:
        # The command line's network follows the layout of the data set's choice, and the run may have named another.
        config = config.model_copy(update={"model": config.model.model_copy(update={"layout": saved.dataset.layout})})
    config = inherit(saved, config, overridden, always=("rerun", "resume", "output_dir", "max_minutes"))
    config = config.model_copy(update={"rerun": str(run_dir.path.absolute())})
    return config, [*Config.model_fields, "dataset.mean", "dataset.std"]


def with_processes(config: Config) -> Config:
    """With the number of processes that share each batch, where it depends on the machine.

    Raises:
        InputError: when there are too few GPUs, or fewer images in a batch than processes.
    """
    rank, options = this_rank(), config.hardware
    gpus = 0 if options.device == "cpu" else len(visible_gpus())
    count = max(1, gpus) if options.processes == "gpus" else options.processes
    if rank.size > 1:
        if count not in (1, rank.size) and options.processes != "gpus":
            raise InputError(
                f"hardware.processes={count}: this is one of {rank.size} processes already, by torchrun or srun; leave it out"
            )
        if gpus and rank.local_size > gpus:
            raise InputError(
                f"{rank.local_size} processes on this machine: each needs a GPU of its own, and there are {gpus} here"
            )
        count = rank.size
    elif gpus and count > gpus and not config.plan:
        raise InputError(f"hardware.processes={count}: each needs a GPU of its own, and there are {gpus} here")
    if count > config.batch_size:
        raise InputError(
            f"batch_size={config.batch_size}: cannot be shared by {count} processes; take at most {config.batch_size}"
        )
    return config.model_copy(update={"hardware": options.model_copy(update={"processes": count})})


def expected(config: Config, overridden: Collection[str] | None) -> Config:
    """The config that a task will have, as far as it can be told without torch: a measurement takes the checkpoint's."""
    saved = None
    if isinstance(config.task, Evaluate) and config.checkpoint is not None:
        saved = beside(Path(config.checkpoint))
    return config if saved is None else as_measured(saved, config, overridden, f"checkpoint={config.checkpoint}")


def as_measured(saved: Config, config: Config, overridden: Collection[str] | None, source: str) -> Config:
    """The config of a checkpoint of ours, with what the user may change of it for a measurement."""
    here = ("task", "checkpoint", "resume", "output_dir", "hardware", "limit_eval", "energy")
    config = inherit(saved, config, overridden, always=here)
    if config.T != saved.T and saved.encoder.name == "gac":
        raise InputError(f"{source}: {other_steps(saved.T, config.T)}")
    if not {"dataset.mean", "dataset.std"} & set(overridden or ()):  # what the network was trained to see
        trained = {name: getattr(saved.dataset, name) for name in ("mean", "std", "measured")}
        config = config.model_copy(update={"dataset": config.dataset.model_copy(update=trained)})
    if differ := differences(sections(saved, ARCHITECTURE), sections(config, ARCHITECTURE)):
        raise InputError(f"{source}: of another architecture: {differ}")
    return config


def check_here(config: Config) -> None:
    """Raises InputError when the files of the data are not there, or this machine's memory cannot hold the run."""
    if config.plan and is_missing(config.dataset):
        counts_of(config)
        return
    check_files(config.dataset)
    if not stands_alone(config):
        check_host(config)


def stands_alone(config: Config) -> bool:
    """Return whether a plan is for more GPUs than are here, or for images that are not: one process measures a part of it."""
    gpus = 0 if config.hardware.device == "cpu" else len(visible_gpus())
    processes = config.hardware.processes
    more = isinstance(processes, int) and processes > max(1, gpus) and config.hardware.device != "cpu"
    return config.plan and (more or config.plan_step_seconds is not None or is_missing(config.dataset))


def saved_choices(given: Mapping[str, str]) -> dict[str, str]:
    """The groups to choose so that options of a saved run can be named: {"dataset": "image_folder"} for `dataset.root`.

    Args:
        given: the command line's options and their values. It says which run is saved by `resume` or `rerun`, or by
            `checkpoint` for a task that measures; a group that is named in it is not chosen again.

    Raises:
        InputError: when the saved config cannot be read.
    """
    if {"experiment", "preset", "sweeps"} & set(given):
        return {}  # these set whole groups, and nothing is inherited
    named = (*NAMED, "task") if "rerun" in given else NAMED
    # What is run again may get another choice of one group, whose options follow those of another: a model's the data's layout.
    wanted = set(named) if "rerun" in given else {key.split(".")[0] for key in given if "." in key}
    groups = wanted & set(named) - set(given)
    saved = saved_config(given) if groups else None
    values = {} if saved is None else to_dict(saved)
    return {group: values[group]["name"] for group in sorted(groups) if values}


def saved_config(given: Mapping[str, str]) -> Config | None:
    """The config of the run that a command line names; None where it names none, or none that is there."""
    if option := next((name for name in ("resume", "rerun") if name in given), None):
        run_dir = RunDirectory(Path(given[option]))
        check_name(option, run_dir.path)
        return run_dir.read_config() if run_dir.config_path.exists() else None
    path = Path(given.get("checkpoint", ""))
    check_name("checkpoint", path)
    if given.get("task") not in get_args(Evaluate.model_fields["name"].annotation) or not path.is_file():
        return None
    if (saved := beside(path)) is not None:
        return saved
    from gacsnn.training.checkpoint import read_any  # brings torch: only for a checkpoint away from its run directory

    content = read_any(path)
    return from_saved(content["config"], f"checkpoint={path}") if "config" in content else None


def beside(path: Path) -> Config | None:
    """The config of the run directory in which a checkpoint lies, if it lies in one whose config can be read."""
    run_dir = RunDirectory(path.absolute().parent.parent)
    if path.parent.absolute() != run_dir.checkpoints or not run_dir.config_path.exists():
        return None
    try:
        return run_dir.read_config()
    except InputError:
        return None  # the checkpoint holds it as well


def same_run(config: Config) -> Path | None:
    """The newest run of this configuration that can go on: in `output_dir`, or below outputs/ where that is not given."""
    folders = Path("outputs").glob("*/*") if config.output_dir is None else [Path(config.output_dir)]
    runs = [RunDirectory(folder) for folder in folders]
    runs = [run for run in runs if run.saved() and is_of(run, config)]
    return max(runs, key=lambda run: run.saved()[0].stat().st_mtime).path if runs else None


def is_of(run_dir: RunDirectory, config: Config) -> bool:
    try:
        return config_hash(run_dir.read_config()) == config_hash(config)
    except (InputError, OSError):
        return False


def resumed(config: Config, overridden: Collection[str] | None, run_dir: RunDirectory) -> Config:
    """The config of a run that goes on."""
    path = run_dir.path
    point_to_run("resume", path)
    run_dir.check_resumable()
    saved = run_dir.read_config()
    config = inherit(saved, config, overridden, always=("resume",)).model_copy(update={"rerun": saved.rerun})
    given = None if overridden is None or "output_dir" not in overridden else config.output_dir
    if given is None or Path(given).absolute() == path.absolute():  # the folder may have been moved since
        config = config.model_copy(update={"output_dir": saved.output_dir and str(path)})
        saved = saved.model_copy(update={"output_dir": config.output_dir})
    kept = set(to_dict(saved)) - set(CHANGEABLE)
    if differ := differences(sections(saved, kept, CHANGEABLE), sections(config, kept, CHANGEABLE)):
        raise InputError(
            f"resume={path}: {differ}; when a run goes on, only {', '.join(CHANGEABLE[1:])} may change; "
            f"{instead(saved, config, run_dir)}"
        )
    return config


def instead(saved: Config, config: Config, run_dir: RunDirectory) -> str:
    """The command that begins a run with what may not change of one that goes on: from its weights, where they still fit."""
    there, here = (flat(to_dict(each)) for each in (saved, config))
    changed = {key: value for key, value in here.items() if there.get(key, MISSING) != value}
    words = [written(key, value) for key, value in changed.items() if key not in ("resume", "dataset.measured")]
    fits = config.T == saved.T and sections(saved, ARCHITECTURE) == sections(config, ARCHITECTURE)
    if fits and config.dataset.name == saved.dataset.name and "checkpoint" not in changed:
        weights = f"checkpoint={run_dir.saved()[0]}"
        return f"a new run begins from its weights with {' '.join([f'rerun={run_dir.path}', weights, *words])}"
    return f"a new run of it begins with {' '.join([f'rerun={run_dir.path}', *words])}"


def written(key: str, value: Any) -> str:
    """An option as it stands on a command line; a group's choice by the group's name."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"{key.removesuffix('.name')}={text}"


def point_to_run(option: str, path: Path) -> None:
    """Raises InputError for what is no run but has one near: a file in it, a sweep, a folder of runs."""
    if not path.exists() or (path / CONFIG).exists():
        return
    if above := next((folder for folder in path.parents[:2] if (folder / CONFIG).exists()), None):
        raise InputError(f"{option}={path}: lies in a run; give that: {option}={above}")
    runs = sorted([*path.glob(f"*/{CONFIG}"), *path.glob(f"*/*/{CONFIG}")], key=lambda file: file.stat().st_mtime)
    if (path / "study.json").exists():
        on = (
            "the command that began it (python launch.py -m ...), given again, goes on with it"
            if option == "resume"
            else ""
        )
        one = f"{option}={runs[-1].parent} is one of its runs" if runs else ""
        raise InputError(f"{option}={path}: is a sweep; {'; '.join(filter(None, (on, one)))}")
    if runs:
        raise InputError(
            f"{option}={path}: is a folder of runs; name one, such as the newest: {option}={runs[-1].parent}"
        )
