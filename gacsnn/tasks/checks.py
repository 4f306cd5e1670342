"""What a command line asks for, checked before torch is imported: the paths it names, and what a run that goes on may change."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

from gacsnn.config.merge import CHANGEABLE, differences, inherit, sections
from gacsnn.config.saved import from_saved, to_dict
from gacsnn.config.schema import Config, Evaluate, ShowStudy, Train
from gacsnn.errors import InputError
from gacsnn.runtime.files import check_file
from gacsnn.runtime.run_dir import RunDirectory, check_new_directory


def checked(config: Config, overridden: Collection[str] | None) -> Config:
    """The config of the run; with `resume`, that of the saved run and what the user overrides of it. Nothing is written.

    Raises:
        InputError: when it cannot be run.
    """
    task = config.task.name
    if isinstance(config.task, Train) and config.resume is not None:
        return resumed(config, overridden, RunDirectory(Path(config.resume)))
    if isinstance(config.task, Evaluate) and config.checkpoint is None:
        raise InputError(f"task={task}: checkpoint=FILE says what to measure, such as RUN/checkpoints/best.pt")
    if isinstance(config.task, Evaluate) and config.resume is not None:
        raise InputError(f"task={task} resume={config.resume}: only a training is resumed; give checkpoint=FILE")
    if isinstance(config.task, Train | Evaluate):
        check_new_directory(config.output_dir)
        if config.checkpoint is not None:
            check_file(Path(config.checkpoint), "checkpoint")
    if isinstance(config.task, ShowStudy) and config.study is None:
        raise InputError("task=study: study=FOLDER says which, such as study=multirun/t_lr-digits-resnet8")
    return config


def saved_choices(given: Mapping[str, str]) -> dict[str, str]:
    """The groups to choose so that options of a saved run can be named: {"dataset": "image_folder"} for `dataset.root`.

    Args:
        given: the command line's options and their values. It says which run is saved by `resume`, or by `checkpoint`
            for a task that measures; a group that is named in it is not chosen again.

    Raises:
        InputError: when the saved config cannot be read.
    """
    if {"experiment", "preset", "sweeps"} & set(given):
        return {}  # these set whole groups, and nothing is inherited
    groups = {key.split(".")[0] for key in given if "." in key} - set(given)
    saved = saved_config(given) if groups else None
    values = {} if saved is None else to_dict(saved)
    return {group: values[group]["name"] for group in sorted(groups) if "name" in values.get(group, ())}


def saved_config(given: Mapping[str, str]) -> Config | None:
    """The config of the run that a command line names; None where it names none, or none that is there."""
    if "resume" in given:
        run_dir = RunDirectory(Path(given["resume"]))
        return run_dir.read_config() if run_dir.config_path.exists() else None
    if given.get("task") not in get_args(Evaluate.model_fields["name"].annotation):
        return None
    path = Path(given.get("checkpoint", ""))
    beside = RunDirectory(path.absolute().parent.parent)
    if not path.is_file() or (path.parent.name == "checkpoints" and beside.config_path.exists()):
        return beside.read_config() if path.is_file() else None
    from gacsnn.training.checkpoint import read_any  # brings torch: only for a checkpoint away from its run directory

    content = read_any(path)
    return from_saved(content["config"], f"checkpoint={path}") if "config" in content else None


def resumed(config: Config, overridden: Collection[str] | None, run_dir: RunDirectory) -> Config:
    """The config of a run that goes on."""
    path = run_dir.path
    run_dir.check_resumable()
    saved = run_dir.read_config()
    config = inherit(saved, config, overridden, always=("resume",))
    given = None if overridden is None or "output_dir" not in overridden else config.output_dir
    if given is None or Path(given).absolute() == path.absolute():  # the folder may have been moved since
        config = config.model_copy(update={"output_dir": saved.output_dir and str(path)})
        saved = saved.model_copy(update={"output_dir": config.output_dir})
    kept = set(to_dict(saved)) - set(CHANGEABLE)
    if differ := differences(sections(saved, kept, CHANGEABLE), sections(config, kept, CHANGEABLE)):
        raise InputError(f"resume={path}: {differ}; when a run goes on, only {', '.join(CHANGEABLE[1:])} may change")
    return config
