"""What `--help` says of a sweep's options: those of `hydra.sweeper`, its samplers and its pruners."""

from dataclasses import MISSING as NONE
from dataclasses import fields
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import MISSING

from gacsnn.config.help import described, line, written
from gacsnn.sweep.options import Numbers, StudyConf
from gacsnn.sweep.pruners import PRUNERS

# Of each option, a sentence, and its type; of numbers, `options.Numbers` says that.
HELP: dict[str, tuple[str, str]] = {
    "n_trials": ("trials of the search", ""),
    "n_jobs": ("workers that run trials at the same time", ""),
    "params": (
        "what is searched: a range or choices for each option",
        "NAME: interval(a, b), tag(log, interval(a, b)), ...",
    ),
    "objectives": ("what trials are compared by", "list of keys of result.json, one a direction"),
    "direction": ("which way each objective is better", "maximize or minimize, or a list of such"),
    "study_name": ("name of the study in its storage", "null or text; null: that of the folder"),
    "storage": ("where the study is kept", "null or a URL of Optuna's; null: study.db in the sweep's folder"),
    "test": ("whose test split is read", "best or all or none"),
    "retry": ("failed: trials that failed are tried once more, when the command starts", "none or failed"),
    "verbose": ("trials say a line an epoch", "true or false"),
    "reuse": ("take the result of the same config from this study instead of running it again", "true or false"),
    "repeats": ("seeds of a trial, whose mean is its value", ""),
    "rungs": ("epochs after which trials pause, and the best go on", "list of whole numbers that grow"),
    "reduction_factor": ("of the trials at a rung one in so many goes on", ""),
    "budget_hours": ("hours of all trials together; one that would take more is not started", ""),
    "budget_gpu_hours": ("the same, times the GPUs of a trial", ""),
    "claim": (
        "what the sweep is to find out",
        'null or {better: "A=1", than: "A=2", by: 0.3, on: OBJECTIVE}, or a list of such',
    ),
    "confirm": ("after the search the best run again, with fresh seeds", "null or {top: 3, seeds: 5}"),
    "trials_from": ("folders of other studies, of which equal trials are taken over", "list of folders"),
    "max_failure_rate": ("fraction of n_trials that may fail; the sweep stops beyond", ""),
    "max_retries": ("how often a trial whose process was killed is taken up again", ""),
    "lease_seconds": ("how long another machine may be silent before its trial is taken up", ""),
    "storage_patience_seconds": ("how long a storage that is away, or a full disk, is waited for", ""),
}

PRUNER_HELP = {
    "n_startup_trials": ("complete trials before any trial is stopped", "whole number from 0"),
    "n_warmup_steps": (
        "epochs before a trial can be stopped",
        "null or whole number from 0; null: a third of the epochs",
    ),
    "interval_steps": ("epochs between two decisions about a trial", "whole number from 1"),
    "n_min_trials": (
        "complete trials with a score at that epoch, without which no trial is stopped",
        "whole number from 1",
    ),
    "min_resource": ("epochs of the first rung", "null or whole number from 1; null: a third of the epochs"),
    "max_resource": ("epochs of a whole run", "null or whole number from 1; null: the epochs of the run"),
    "reduction_factor": ("one in this many of the trials at a rung goes on", "whole number from 2"),
    "min_early_stopping_rate": ("rungs that are left out at the beginning", "whole number from 0"),
    "bootstrap_count": ("trials that must reach a rung before one goes on from it", "whole number from 0"),
    "p_threshold": ("p-value below which a trial counts as worse than the best one", "number from 0 to 1"),
    "n_startup_steps": ("seeds before a trial can be stopped", "whole number from 0"),
}


def groups_help() -> str:
    """A line a group that can be chosen, with its choices: not those that choices share, nor Hydra's own."""
    loader = GlobalHydra.instance().config_loader()
    groups = sorted(set(loader.list_groups("")) - {"hydra"})
    return "\n".join(f"{group}: {', '.join(loader.get_group_options(group))}" for group in groups)


def sweep_help() -> str:
    """A line an option."""
    types = {name: described(schema) for name, schema in Numbers.model_json_schema()["properties"].items()}
    defaults = {each.name: default(each) for each in fields(StudyConf)}
    lines = [
        line(f"hydra.sweeper.{name}", help, kind or types[name], f"default {defaults[name]}")
        for name, (help, kind) in HELP.items()
    ]
    for name, help in (("sampler", "how parameters are drawn"), ("pruner", "which trials end early")):
        known = ConfigStore.instance().list(f"hydra/sweeper/{name}")
        chosen = next(each[name] for each in StudyConf().defaults if name in each)
        choices = " or ".join(each.removesuffix(".yaml") for each in known)
        lines.append(line(f"hydra/sweeper/{name}", help, choices, f"default {chosen}"))
    return "\n".join([*lines, *pruner_help()])


def pruner_help() -> list[str]:
    """Return a line for each option of a pruner, with its default for each pruner that has it."""
    defaults: dict[str, list[str]] = {name: [] for name in PRUNER_HELP}
    for pruner, node in PRUNERS.items():
        for each in fields(node):
            if each.name != "_target_":
                defaults[each.name].append(f"{pruner} {default(each)}")
    return [
        line(f"hydra.sweeper.pruner.{name}", help, kind, f"default of {', '.join(defaults[name])}")
        for name, (help, kind) in PRUNER_HELP.items()
    ]


def default(field: Any) -> str:
    value = field.default if field.default is not NONE else field.default_factory()
    if value == MISSING:
        return "none"
    return written(value.name if isinstance(value, Enum) else value)
