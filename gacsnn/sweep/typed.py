"""What was typed: flags and overrides, looked at before Hydra composes anything."""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from gacsnn.config.schema import options_that_take, variants
from gacsnn.errors import InputError
from gacsnn.runtime.files import check_name
from gacsnn.sweep.mistakes import WHOLE, one_line, unknown_flag

# Choices below hydra/, which are written with slashes.
HYDRA_GROUPS = ("hydra.launcher", "hydra.sweeper", "hydra.sweeper.pruner", "hydra.sweeper.sampler")

# A number with a plus before it, alone or one of several: YAML takes it for the number.
PLUS = re.compile(r"(?:^|[,(\[])\s*(\+(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?=$|[,)\]])", re.IGNORECASE)

# The options whose values are text: those of the schema, and Hydra's that name folders and studies.
TEXT = options_that_take(str) | {
    *("hydra.sweep.dir", "hydra.sweep.subdir"),
    *("hydra.sweeper.study_name", "hydra.sweeper.storage", "hydra.sweeper.trials_from"),
}


@dataclass(frozen=True)
class Typed:
    """A command line: Hydra's flags, and the overrides; none where the flags ask for something else than a config."""

    flags: Namespace
    overrides: Sequence[Override]

    @property
    def multirun(self) -> bool:
        return self.flags.multirun or any(
            each.key_or_group == "hydra.mode" and str(each.value()) == "MULTIRUN" for each in self.overrides
        )

    @property
    def only_shows(self) -> bool:
        """Whether something is to be shown, and nothing done."""
        flags = self.flags
        return bool(flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion)


def read(arguments: Sequence[str]) -> Typed:
    """The command line, checked as far as it can be without a config.

    Raises:
        InputError: for a flag or an override that is none, or none that means what it seems to.
    """
    flags = read_flags(arguments)
    typed = Typed(flags, [])
    if flags.help or flags.hydra_help:
        return typed
    check_flags(flags)
    if flags.info is not None or flags.shell_completion:
        return typed
    try:
        typed = replace(typed, overrides=OverridesParser.create().parse_overrides(flags.overrides))
    except HydraException as error:
        raise InputError(one_line(error)) from None
    for override in typed.overrides:
        check_override(override)
        if not typed.multirun and flags.cfg is None:
            check_is_no_sweep(override)
    check_searched(typed)
    return typed


def check_searched(typed: Typed) -> None:
    """Raises InputError for a search of anything but trainings."""
    given = {each.key_or_group: each.value() for each in typed.overrides if not each.is_delete()}
    task = given.get("task", "train")
    if typed.multirun and ("sweeps" in given or given.get("hydra/sweeper") == "study") and task != "train":
        raise InputError(
            f"task={task}: the trials of a search are trainings (task=train); a grid without one, -m KEY=A,B, runs any task"
        )


def keep_text(argument: str) -> str:
    """Return an override with quotes around the values that Hydra would not read as they were typed.

    An option that takes text keeps `2026_12_01`, `1e3`, `true` or `a=b`, alone, in a list or in a grid. `null` stays null: a
    folder of that name is given in quotes. Other options get quotes only for letters beyond ASCII. What holds quotes, brackets
    of functions or references is left as it is.
    """
    key, equals, value = argument.partition("=")
    if not equals or key.startswith("-") or re.search(r"""['"\\(){}$]""", value):
        return argument
    if key.lstrip("+") not in TEXT:
        return argument if value.isascii() or re.search(r"[,\[\]=]", value) else f"{key}={quote(value)}"
    is_list = value.startswith("[") and value.endswith("]")
    parts = (value[1:-1] if is_list else value).split(",")
    if len(parts) == 1 and not is_list:
        return f"{key}={override_value(value)}"
    if any("[" in part or "]" in part for part in parts):
        return argument
    kept = ",".join(override_value(part.strip()) for part in parts)
    return f"{key}=[{kept}]" if is_list else f"{key}={kept}"


def override_value(text: str) -> str:
    """Return text in quotes if Hydra would read it as something else; `null` and nothing stay as they are."""
    try:
        value = OverridesParser.create().parse_rule(text, "primitive") if text else text
    except HydraException:
        return quote(text)
    return text if value is None or value == text else quote(text)


def quote(text: object) -> str:
    """Return text as a quoted value of Hydra's, with a backslash before each quote, and each backslash before one doubled."""
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), str(text)) + "'"


def read_flags(arguments: Sequence[str]) -> Namespace:
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message.removeprefix('argument ')}; `python launch.py --help` shows what there is")

    parser.error = refuse
    flags, unknown = parser.parse_known_intermixed_args(list(arguments))
    if unknown:
        after = arguments[arguments.index(unknown[0]) + 1 :][:1]
        value = next((each for each in after if "=" not in each and not each.startswith("-")), None)
        known = [name for action in parser._actions for name in action.option_strings]
        raise InputError(unknown_flag(unknown[0], value, known))
    return flags


def check_flags(flags: Namespace) -> None:
    """Raises InputError for flags that exclude each other, that nothing is made of, or for which the program has options."""
    does = {"--run": flags.run, "-m": flags.multirun, "--cfg": flags.cfg, "--info": flags.info}
    does["--shell-completion"] = flags.shell_completion
    asked = [name for name, given in does.items() if given]
    if len(asked) > 1:
        raise InputError(f"{' '.join(asked)}: give one of them; --cfg shows what is composed without -m")
    check_completion(flags)
    for name, given in (("--resolve", flags.resolve), ("--package", flags.package)):
        if given and flags.cfg is None:
            raise InputError(f"{name}: is of what --cfg shows, as in python launch.py --cfg job {name}")
    if flags.experimental_rerun is not None:
        raise InputError(f"--experimental-rerun: rerun={flags.experimental_rerun} runs a run again")
    if flags.config_name is not None:
        raise InputError("--config-name: there is one config; experiment=NAME is a saved one, rerun=RUN that of a run")
    for name, given in (("--config-dir", flags.config_dir), ("--config-path", flags.config_path)):
        if given is not None:
            check_folder(name, Path(given))


def check_completion(flags: Namespace) -> None:
    wanted = ("install", "uninstall", "query")
    if flags.shell_completion and len([each for each in flags.overrides if each.partition("=")[0] in wanted]) != 1:
        raise InputError(f"--shell-completion: give one of {', '.join(f'{each}=SHELL' for each in wanted)}")


def check_folder(flag: str, folder: Path) -> None:
    """Raises InputError for a folder without groups of options, of which nothing would be read."""
    if (folder / "checkpoints").is_dir() or (folder / "result.json").exists():
        raise InputError(
            f"{flag} {folder}: that is a run, whose config would not be read; rerun={folder} runs it again"
        )
    if all(path.name == "config.yaml" for path in folder.glob("*/*.yaml")):  # as runs have it
        raise InputError(f"{flag} {folder}: should be a folder of groups of options, as GROUP/NAME.yaml")


def check_override(override: Override) -> None:
    key, given = override.key_or_group, str(override.input_line)
    if override.is_delete():
        return
    value: Any = override.value()
    shown = given.partition("=")[2]
    if not key:
        raise InputError(f"{given}: names no option before the =; an option is given as NAME=VALUE")
    if value is None and re.fullmatch(r"hydra(\.\w+)?", key):
        raise InputError(f"{given}: is a group of options, and cannot be left out; name the one that is to be null")
    if key == "hydra.run.dir":
        raise InputError(f"{given}: Hydra writes nothing here; output_dir={shown} is where a run is written")
    if key == "hydra.sweep.dir" and not str(value).strip():
        raise InputError(f"{given}: should be a folder; left out, it is one below multirun/")
    if key == "hydra.sweep.dir":
        check_name(key, Path(str(value)))
    if override.is_sweep_override() and (unknown := sorted(set(getattr(value, "tags", ())) - {"log"})):
        raise InputError(
            f"{given}: tag({unknown[0]}, ...) is none that a search knows; there is tag(log, interval(a, b))"
        )
    if plus := PLUS.search(shown):
        raise InputError(f"{given}: {plus[1]} adds nothing to what {key} was; write {plus[1][1:]}, or the sum")
    group, _, name = key.partition(".")
    if name == "name" and any("name" in kind.model_fields for kind in variants(group)):
        raise InputError(f"{given}: a choice is made with {group}={shown}")
    if key in HYDRA_GROUPS and isinstance(value, str):
        raise InputError(f"{given}: a choice is made with {key.replace('.', '/')}={shown}")
    if key not in WHOLE and not variants(key):
        return
    if value is None or isinstance(value, dict):
        raise InputError(f"{given}: should be the name of a choice; to leave a group as it is, leave it out")
    if isinstance(value, list):
        raise InputError(
            f"{given}: takes one choice; a grid of them is -m {key}={','.join(str(each) for each in value)}"
        )
    if isinstance(value, int | float) or (isinstance(value, str) and ".." in value):
        raise InputError(f"{given}: should be the name of a choice; `python launch.py --help` lists those of {key}")


def check_is_no_sweep(override: Override) -> None:
    """Raises InputError for what only a sweep reads, where there is none."""
    key, given = override.key_or_group, override.input_line
    if key == "sweeps" and not override.is_delete() and override.value() is not None:
        raise InputError(f"{given}: is a sweep; add -m")
    if key.replace("/", ".").startswith("hydra.sweeper"):
        raise InputError(f"{given}: is read by a sweep; add -m")
