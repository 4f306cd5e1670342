"""The names that changed: where one does, SCHEMA grows by one and RENAMED gets a row."""

from collections.abc import Mapping
from typing import Any

SCHEMA = 2

# By the schema that renamed them: options under their old and their new names, dotted. Files without a number are of 1.
RENAMED: dict[int, dict[str, str]] = {
    2: {
        "dataset.pictures": "dataset.images",
        "dataset.check_pictures": "dataset.check_images",
        "dataset.bad_pictures": "dataset.bad_images",
    },
}


def renamed(values: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """A nested dictionary with one key renamed where it is there; `old` and `new` are dotted, in the same group."""
    *groups, name = old.split(".")
    if not groups:
        return {new if key == name else key: value for key, value in values.items()}
    group, rest = groups[0], (old.partition(".")[2], new.partition(".")[2])
    if not isinstance(values.get(group), Mapping):
        return dict(values)
    return {**values, group: renamed(values[group], *rest)}
