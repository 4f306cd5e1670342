"""Files that are whole or not there."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from gacsnn.config.schema import Folder
from gacsnn.errors import InputError, TakenOverError
from gacsnn.runtime.signals import uninterrupted

# In a folder that was taken over from a process of which nothing was heard: says who has it, to that process if it lives.
TAKEN_OVER = ".taken_over"


def check_ours(folder: Path) -> None:
    """Raises TakenOverError when a folder was taken over."""
    with suppress(FileNotFoundError, NotADirectoryError):
        raise TakenOverError(f"{folder}: {(folder / TAKEN_OVER).read_text()} has taken over; nothing more is written")


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a temporary file beside `path`, flush it to the disk, then rename it.

    Raises:
        TakenOverError: when the folder, or the one that it lies in, was taken over.
    """
    for folder in (path.parent, path.parent.parent):
        check_ours(folder)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with uninterrupted():
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_whole(path, lambda file: file.write(text.encode()))


def check_root(options: Folder) -> None:
    """Raises InputError when the folder of a data set in class folders is not there."""
    if not Path(options.root).is_dir():
        raise InputError(
            f"dataset.root={options.root}: no such folder; give the one that holds {options.train_folder}/ or class folders"
        )


def check_file(path: Path, option: str) -> None:
    """Raises InputError when there is no such file."""
    if not path.is_file():
        raise InputError(
            f"{option}={path}: {'this is a folder; give a file in it' if path.is_dir() else 'no such file'}"
        )
