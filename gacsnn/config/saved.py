"""A config as a run saves it: in `config.yaml` and in checkpoints, with the number of the schema that it follows.

An option that is added has a default in the schema, and old files are read as they are; `names.py` has the names that changed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gacsnn.config import text
from gacsnn.config.messages import validate
from gacsnn.config.names import RENAMED, SCHEMA, renamed
from gacsnn.config.schema import Config
from gacsnn.errors import InputError


def to_dict(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def to_saved(config: Config) -> dict[str, Any]:
    """What is written of a config: its options, and the number of the schema."""
    return {"schema": SCHEMA, **to_dict(config)}


def from_saved(values: Mapping[str, Any], source: str) -> Config:
    """The config of what was written, by this version or an older one.

    Raises:
        InputError: one line that begins with `source`, for a later schema or anything that is no config.
    """
    values = dict(values)
    schema = values.pop("schema", 1)
    check_schema(schema, source)
    for later in range(schema + 1, SCHEMA + 1):
        for old, new in RENAMED[later].items():
            values = renamed(values, old, new)
    try:
        return validate(values)
    except InputError as error:
        raise InputError(f"{source}: written by a version with other options ({error})") from None


def check_schema(schema: Any, source: str) -> None:
    """Raises InputError for a number that this version cannot know."""
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise InputError(
            f"{source}: of schema {schema}, and this version of gacsnn reads 1 to {SCHEMA}; a later one is needed"
        )


def to_yaml(config: Config) -> str:
    return yaml.safe_dump(to_saved(config), sort_keys=False, allow_unicode=True)


def load(path: Path) -> Config:
    """The config of a saved `config.yaml`.

    Raises:
        InputError: one line that names the file, when it cannot be read.
    """
    content = text.read(path, "a run's config")
    try:
        if "*" in content and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(content)):
            raise InputError(
                f"{path} is damaged: a run's config has no references (*NAME)"
            )  # which can hold any number
        values = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"{path} cannot be read as a run's config: {reason}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path} holds no config")
    return from_saved(values, str(path))
