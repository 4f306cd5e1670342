"""What a saved run passes on: its config, with what the user asks for now put over it."""

from collections.abc import Collection, Iterable
from typing import Any

from gacsnn.config import Config, to_dict, validate

# What may change when a run goes on: how long, and on what.
CHANGEABLE = ("resume", "epochs", "max_steps", "max_minutes", "hardware", "dataset.root", "task.test")

# What makes two networks the same function of the same weights.
ARCHITECTURE = ("model", "encoder", "neuron")


def inherit(saved: Config, composed: Config, asked: Iterable[str] | None, always: Iterable[str]) -> Config:
    """A saved config with the options that the user asked for taken from the composed one.

    Args:
        saved: the config of the run that is resumed, or of the checkpoint that is evaluated.
        composed: the config of the command line.
        asked: the options and groups that the command line named, dotted; None: all of them. Some groups set any option.
        always: further options that are taken from `composed`.
    """
    if asked is None or any(group in asked for group in ("experiment", "preset", "sweeps")):
        return with_measured(composed, saved)
    values, wanted = to_dict(saved), to_dict(composed)
    for key in [*asked, *always]:
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


def differences(saved: Config, wanted: Config, sections: Collection[str], ignored: Collection[str] = ()) -> str:
    """What differs between two configs in these top-level options, in words: `T is 4 there and 6 here`."""
    there, here = to_dict(saved), to_dict(wanted)
    old = {key: value for section in sections for key, value in flat(there[section], section).items()}
    new = {key: value for section in sections for key, value in flat(here[section], section).items()}
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in ignored]
    return ", ".join(f"{key} is {old.get(key)} there and {new.get(key)} here" for key in keys)


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    if not isinstance(node, dict):
        return {prefix: node}
    return {
        key: value for name in node for key, value in flat(node[name], f"{prefix}.{name}" if prefix else name).items()
    }
