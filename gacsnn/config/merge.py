"""Configs compared and merged: what names a run, what a saved run passes on, how two of them differ."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gacsnn.config.messages import validate
from gacsnn.config.names import RENAMED, renamed
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config

# What may change when a run goes on: how long, and on what.
CHANGEABLE = (
    *("resume", "epochs", "max_steps", "max_minutes", "save_every_minutes", "keep_checkpoints"),
    *("hardware", "dataset.root", "task.test"),
)

MISSING = "missing"

# What makes two networks the same function of the same weights.
ARCHITECTURE = ("model", "encoder", "neuron")

# The groups that are chosen by name, so that their options depend on the choice.
NAMED = ("dataset", "model", "encoder", "optimizer", "scheduler", "loss")

# What does not change what is run, and so not its hash: where it is written, where its data lies, what it runs on.
NOT_IDENTITY: dict[str, Any] = {
    "output_dir": True, "resume": True, "rerun": True, "task": {"name", "split", "test", "rounds"},
    "energy": True, "study": True, "runs": True, "report": True, "save_every_minutes": True, "keep_checkpoints": True,
    "plan": True, "plan_step_seconds": True, "plan_images": True, "plan_classes": True,
    "dataset": {"root", "download", "check_images"},
    "hardware": {"device", "threads", "workers", "processes", "accumulate", "kernels", "cuda_graphs"},
}  # fmt: skip


def config_hash(config: Config) -> str:
    """Ten hexadecimal digits that name what was run, whatever the machine and the folder."""
    return hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:10]


def identity(config: Config) -> dict[str, Any]:
    """The options that say what is run, whatever the machine and the folder. What was measured is as good as not given.

    An option with a default is left out while it has it, and stands under its first name: so the options and names that
    later versions bring leave the hashes of older runs as they are.
    """
    values = config.model_dump(mode="json", exclude=NOT_IDENTITY, exclude_defaults=True)
    values["max_minutes"] = None  # says how long a process works, and not what is run; but it stands in all hashes
    options = config.hardware
    if options.channels_last == "auto":
        values["hardware"]["channels_last"] = False  # which it was before there was a choice
    if not options.sync_batchnorm and options.processes != 1:  # each has batch statistics of its own
        values["hardware"]["processes"] = options.processes
    for name in values["dataset"].pop("measured", []):
        values["dataset"][name] = None
    for schema in sorted(RENAMED, reverse=True):
        for old, new in RENAMED[schema].items():
            values = renamed(values, new, old)
    return values


def naming(config: Config) -> set[str]:
    """The options, dotted and under today's names, that `identity` is made of, at their defaults or not."""
    found = set(flat(config.model_dump(mode="json", exclude=NOT_IDENTITY))) - {"max_minutes"}
    return found if config.hardware.sync_batchnorm else found | {"hardware.processes"}


def inherit(saved: Config, composed: Config, overridden: Iterable[str] | None, always: Iterable[str]) -> Config:
    """A saved config with the options that the user overrode taken from the composed one.

    Args:
        saved: the config of the run that is resumed, or of the checkpoint that is evaluated.
        composed: the config of the command line.
        overridden: the options and groups that the command line named, dotted; None: all of them. Some groups set any option.
        always: further options that are taken from `composed`.
    """
    if overridden is None or any(group in overridden for group in ("experiment", "preset", "sweeps")):
        return with_measured(composed, saved)
    values, wanted = to_dict(saved), to_dict(composed)
    for key in [*overridden, *always]:
        *groups, name = key.split(".")
        source, target = wanted, values
        for group in groups:
            source, target = source[group], target[group]
        target[name] = source[name]
    return with_measured(validate(values), saved)


def with_measured(composed: Config, saved: Config) -> Config:
    """Mean and standard deviation as the saved run measured them, where they are not given."""
    unknown = [name for name in saved.dataset.measured if getattr(composed.dataset, name) is None]
    known: dict[str, Any] = {name: getattr(saved.dataset, name) for name in unknown}
    known["measured"] = [name for name in ("mean", "std") if name in [*composed.dataset.measured, *unknown]]
    return composed.model_copy(update={"dataset": composed.dataset.model_copy(update=known)})


def differences(there: Mapping[str, Any], here: Mapping[str, Any], most: int | None = None) -> str:
    """What differs between two flat configs, the first `most` of it: `T is 4 there and 6 here, ...`."""
    keys = [key for key in {**there, **here} if there.get(key, MISSING) != here.get(key, MISSING)]
    pairs = [(key, written(there.get(key, MISSING)), written(here.get(key, MISSING))) for key in keys[:most]]
    shown = [f"{key} is {one} there and {other} here" for key, one, other in pairs]
    return ", ".join(shown) + (", ..." if len(shown) < len(keys) else "")


def written(given: Any) -> str:
    """As it is written on the command line, and numbers with all their digits."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, list) and given and isinstance(given[0], dict):
        return f"{len(given)} entries"
    if isinstance(given, list):
        return f"[{','.join(map(written, given))}]"
    return str(given)


def sections(config: Config, names: Collection[str], ignored: Collection[str] = ()) -> dict[str, Any]:
    """These top-level options of a config, flat, but for those to ignore."""
    values = to_dict(config)
    found = {key: value for name in names for key, value in flat(values[name], name).items()}
    return {key: value for key, value in found.items() if key not in ignored}


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    if not isinstance(node, dict):
        return {prefix: node}
    return {
        key: value for name in node for key, value in flat(node[name], f"{prefix}.{name}" if prefix else name).items()
    }


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    made: dict[str, Any] = {}
    for key, value in options.items():
        *groups, name = key.split(".")
        node = made
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = value
    return made
