"""One line for whatever is wrong with a value, or in a library's own words."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gacsnn.config.schema import Config, options_that_take
from gacsnn.errors import InputError, nearest, no_such


def validate(values: Mapping[str, Any]) -> Config:
    """A checked Config of a plain dictionary.

    Raises:
        InputError: one line that names each wrong key, its value and what is allowed.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = (_line(details, values) for details in error.errors())
        raise InputError("; ".join(dict.fromkeys(lines))) from None


def _line(details: ErrorDetails, values: Mapping[str, Any]) -> str:
    """One of pydantic's errors as `key=value: what is wrong`, in the words of the command line."""
    path: list[str] = []
    node: Any = values
    siblings: Iterable[str] = ()
    for part in details["loc"]:
        # A union adds the variant's name to the path; what is not in the values is no key of theirs.
        if (isinstance(node, Mapping) and part in node) or (isinstance(node, list) and isinstance(part, int)):
            beside = node if isinstance(node, Mapping) else ()
            siblings = [".".join([*path, str(name)]) for name in beside if name != part]
            node = node[part]  # type: ignore[index]
            path.append(str(part))
        elif details["type"] == "missing" and part == details["loc"][-1]:
            path.append(str(part))
    key = ".".join(path)
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("List ")
    message = re.sub(r"\d{16,}$", lambda bound: f"{float(bound[0]):g}", message)  # pydantic writes 1e30 out
    if details["type"] == "missing":
        return f"{key}: this option is missing"
    if details["type"] == "extra_forbidden":
        return f"{key}: no such option{nearest(key, siblings)}"
    if details["type"] == "union_tag_invalid":
        context = details.get("ctx", {})
        known = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        tag = str(context["tag"])
        return no_such(key, tag, known)
    if message.startswith(f"{key}="):
        return message
    wrong_type = details["type"].endswith("_type") or details["type"] == "literal_error"
    if isinstance(node, list) and wrong_type and key not in options_that_take(list):
        values_given = ",".join(value if isinstance(value, str) else json.dumps(value) for value in node)
        return f"{key}=[{values_given}]: should be one value; a grid of them is -m {key}={values_given}"
    if details["type"] == "string_type" and isinstance(node, int | float | None):
        return f"{key}={json.dumps(node)}: should be text; put the value in quotes"
    if isinstance(node, Mapping):
        return f"{key}: {message}"
    return f"{key}={'null' if node is None else node}: {message}"


def first_line(error: BaseException) -> str:
    """A library's exception as `Kind: the first line of what it says`."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
