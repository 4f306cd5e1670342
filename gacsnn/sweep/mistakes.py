"""What is wrong with a command line, in one line: Hydra's words made ours, and what was meant."""

import re
from dataclasses import fields
from difflib import get_close_matches
from typing import get_args

from gacsnn.config.merge import NAMED
from gacsnn.config.names import RENAMED
from gacsnn.config.schema import Config, choices_with, options, options_that_take, variants
from gacsnn.errors import closest, no_such
from gacsnn.sweep.options import StudyConf

# Groups that set options of any group, or many.
WHOLE = ("experiment", "preset", "sweeps")

# What other programs call it.
ALSO_CALLED = {
    "path": "dataset.root",
    "dir": "dataset.root",
    "folder": "dataset.root",
    "learning_rate": "optimizer.lr",
    "num_workers": "hardware.workers",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "timesteps": "T",
    "time_steps": "T",
    "dry_run": "plan",
    "trials": "hydra.sweeper.n_trials",
}

# Choices whose plugin is an extra of this package.
PLUGINS = {("hydra/launcher", name): "slurm" for name in ("submitit_slurm", "submitit_local")}

TASKS = [name for kind in variants("task") for name in get_args(kind.model_fields["name"].annotation)]

# Ranges as Optuna and others write them, and as Hydra does.
RANGES = {
    "uniform": "interval({})",
    "loguniform": "tag(log, interval({}))",
    "log_uniform": "tag(log, interval({}))",
}


def one_line(error: Exception) -> str:
    """Hydra's or OmegaConf's error as one line."""
    message = str(error)
    if found := re.match(r"Error merging override (.*)", message):
        why = str(error.__cause__ or "cannot be set").splitlines()[0]
        list_wanted = "is not a ListConfig" in why
        return f"{found[1]}: {'should be a list, such as [1,2]' if list_wanted else uncapitalised(why)}"
    if found := re.search(r"Could not override '([^']+)'", message):
        return unknown_option(found[1])
    if found := re.search(r"Could not find '(.+)/([^/']+)'", message):
        group, asked = found.groups()
        choices = [line.strip() for line in message.splitlines() if line.startswith("\t") and "=" not in line]
        if extra := PLUGINS.get((group, asked)):
            return f"{group}={asked}: its plugin is not installed; pip install -e '.[{extra}]' does"
        return no_such(group, asked, choices)
    if found := re.search(r"override '(.*)'\n.*Unknown function '(.*)'\nAvailable: (.*)", message):
        return unknown_function(*found.groups())
    if found := re.search(r"Ambiguous value for argument '(.*)'\n", message):
        key, _, values = found[1].partition("=")
        one_value = key in (*WHOLE, *NAMED) or (key in options() and key not in options_that_take(list))
        written = "" if one_value else f"; a list is written {key}=[{values}]"
        return f"{found[1]}: several values are a grid, which begins with -m: -m {found[1]}{written}"
    if found := re.search(r"string: (.*?) out of \[", message):
        if found[1] in TASKS:
            return f"{found[1]}: not an override; did you mean task={found[1]}?"
        within = '; within {} what holds a = is quoted, as {better: "encoder=gac"}' if "{" in found[1] else ""
        return f"{found[1]}: not an override; options are written KEY=VALUE, such as T=6 or optimizer.lr=0.05{within}"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return "; ".join(line for line in lines if not line.startswith(("object_type", "See https")))


def uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]


def known_options() -> list[str]:
    """Every option and group that can be set, as the command line names it."""
    sweeper = [f"hydra.sweeper.{each.name}" for each in fields(StudyConf) if not each.name.startswith("_")]
    return [*Config.model_fields, *options(), *WHOLE, *sweeper]


def meant(key: str) -> str | None:
    """The option that a name which there is not stands for, if one can be told."""
    names = known_options()
    end = key.rpartition(".")[2].lower()
    if end in ALSO_CALLED and not any(name.rpartition(".")[2] == end for name in names):
        return ALSO_CALLED[end]
    return closest(key, names)


def unknown_option(key: str) -> str:
    for changes in RENAMED.values():
        if key in changes:
            return f"{key}: this option is called {changes[key]} now"
    if key in known_options():
        group = key.rsplit(".", 1)[0]
        if group == "hydra.sweeper":
            return (
                f"{key}: is of a search, and this is a plain grid; choose one with sweeps=NAME, or hydra/sweeper=study"
            )
        has = which_has(key) or f"; name the choice that has it, as {group}=NAME"
        return f"{key}: this choice of {group} has no such option{has}"
    found = meant(key)
    guess = "" if found is None else f", did you mean {found}?{which_has(found)}"
    return f"{key}: no such option{guess}; `python launch.py --help` shows all"


def which_has(key: str) -> str:
    """`; dataset=cifar10, dataset=cifar100 have it`, where not every choice does."""
    group, _, name = key.partition(".")
    having = choices_with(group, name)
    return (
        f"; {', '.join(f'{group}={choice}' for choice in having)} {'has' if len(having) == 1 else 'have'} it"
        if having
        else ""
    )


def unknown_function(override: str, function: str, available: str) -> str:
    key, _, _ = override.partition("=")
    inside = re.search(rf"\b{re.escape(function)}\((.*?)\)", override)
    if inside is not None and function in RANGES:
        return f"{override}: there is no {function} here; write {key}={RANGES[function].format(inside[1])}"
    return f"{override}: there is no {function}; there are {available.replace(',', ', ')}"


def unknown_flag(flag: str, value: str | None, flags: list[str]) -> str:
    """Of an argument that begins with dashes and is no flag; `value`: what stands behind it."""
    name, _, behind = flag.partition("=")
    key = name.strip("-").replace("-", "_")
    found = meant(key)
    known = found is not None and key.lower() in (found.rpartition(".")[2].lower(), *ALSO_CALLED)
    if known or key in known_options():
        given = "true" if found == "plan" else behind or value or "VALUE"
        return f"{name}: no such flag; options are written without dashes: {found}={given}"
    near = get_close_matches(name, flags, n=1, cutoff=0.8)
    guess = f", did you mean {near[0]}?" if near else ""
    return (
        f"{name}: no such flag{guess}; options are written KEY=VALUE, such as T=6; `python launch.py --help` shows all"
    )
