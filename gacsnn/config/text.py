"""Text files of runs and studies, read whatever lies at their place."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gacsnn.errors import InputError

# Bytes; what a run writes is far smaller, and /dev/zero has no end.
LONGEST = 2**30


def read(path: Path, what: str) -> str:
    """The text of a file.

    Raises:
        InputError: one line that names the file and `what` it should be, for a folder, a pipe, a link to itself, or no text.
        FileNotFoundError: when there is none.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InputError(f"{path} is damaged: it should be {what}, and is no file")
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read(LONGEST)
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(f"{path} is damaged: it should be {what}, and is a link to nowhere") from None
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InputError(f"{path} is damaged: it should be {what} ({reason})") from None
    if len(text) == LONGEST:
        raise InputError(f"{path} is damaged: it should be {what}, and is without end")
    return text


def to_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON text. JSON has no NaN and no infinity: they become null."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def from_json(content: str) -> Any:
    """Return what JSON text holds. NaN and infinities, which earlier versions wrote, are None.

    Raises:
        ValueError, RecursionError: for other text.
    """
    return json.loads(content, parse_constant=lambda _name: None)


def finite(value: Any) -> Any:
    """Return a value of dictionaries, lists and numbers with None in place of each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, what: str) -> Any:
    """What a file of JSON holds. Raises as `read` does, also where it is no JSON."""
    try:
        return from_json(read(path, what))
    except (ValueError, RecursionError):
        raise InputError(f"{path} is damaged: it should be {what}") from None
