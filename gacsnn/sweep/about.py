"""`study.json`, which says what study a folder holds and where its storage is; and whether that can be read at all.

It is written when the study has been made. So where it is there, the study is, or something was lost: a new study in its place
would take the runs of the old one for its own.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from gacsnn.config import text
from gacsnn.errors import InputError
from gacsnn.runtime.files import write_text

FILE = "study.json"

# How the folder of a sweep begins that confirms another, within that one's.
CONFIRMS = "confirm-"

# The tables that a study of any version of Optuna's has.
TABLES = {"studies", "study_user_attributes", "trials", "trial_params", "trial_user_attributes", "trial_values"}


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    write_text(folder / FILE, json.dumps(about, indent=2) + "\n")


def read_about(folder: Path) -> dict[str, Any]:
    """Name, storage (None: beside the trials) and objectives of the study in a folder.

    Raises:
        InputError: when there is none, or the file is damaged.
    """
    try:
        about: Any = text.read_json(folder / FILE, "what a study is")
    except FileNotFoundError:
        raise InputError(f"study={folder}: no sweep in this folder (it holds no {FILE})") from None
    except InputError:
        about = None
    if not is_whole(about):
        raise InputError(
            f"study={folder}: its {FILE} is damaged: it should name study, storage and objectives as JSON; the command of the "
            "sweep, given again, writes it anew"
        )
    return {"storage": None, **about}


def is_whole(about: Any) -> bool:
    if not isinstance(about, dict) or not isinstance(about.get("study"), str):
        return False
    objectives = about.get("objectives")
    named = isinstance(objectives, list) and objectives and all(isinstance(name, str) for name in objectives)
    return bool(named) and isinstance(about.get("storage"), str | None)


def is_begun(folder: Path, name: str) -> bool:
    """Whether the folder of a sweep holds trials already.

    Raises:
        InputError: when they are those of another study.
    """
    if not (folder / FILE).exists():
        return False
    try:
        there = read_about(folder)["study"]
    except InputError:
        return True  # it is written anew
    if there != name:
        raise InputError(
            f"hydra.sweep.dir={folder}: holds the trials of study {there}, and not of {name}; give another folder, or "
            f"hydra.sweeper.study_name={there}"
        )
    return True


def storage_beside(folder: Path) -> str:
    """The database of a study whose trials lie in this folder, where none is given."""
    return f"sqlite:///{folder / 'study.db'}"


def file_of(url: str) -> Path | None:
    """The file of a storage that is one."""
    if url.startswith("journal:"):
        return Path(url.removeprefix("journal:").removeprefix("//"))
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///").partition("?")[0])
    return None


def storage_of(folder: Path, about: Mapping[str, Any]) -> str:
    """The storage that a sweep's `study.json` names. The folder may have been moved since.

    Raises:
        InputError: when its file is not there; a new one would be an empty study.
    """
    url = about["storage"] or storage_beside(folder)
    file = file_of(url)
    if file is None or file.exists():
        return url
    if (folder / "study.db").exists():
        return storage_beside(folder)
    raise InputError(f"study={folder}: its storage {url} is not there")


def check_database(url: str, writes: bool = False) -> None:
    """Find out, writing nothing, whether the file of a storage, which was there before, can be read; a server is asked later.

    Raises:
        InputError: when it is gone, cut, damaged or none; SQLite would make what is missing anew, and empty.
    """
    file = file_of(url)
    if file is None:
        return
    reason = fault(file, url.startswith("sqlite:"))
    if reason is None and writes and not os.access(file, os.W_OK):
        reason = "cannot be written (no permission)"
    if reason is not None:
        raise InputError(
            f"hydra.sweeper.storage={url}: the study's file {reason}; put a copy of it back, or begin another study: the runs "
            "beside it stay as they are"
        )


def fault(file: Path, is_sqlite: bool) -> str | None:
    """What is wrong with a storage's file, in words; what is only locked or busy says itself when it is opened."""
    if not file.exists():
        return "is gone"
    if not file.is_file():
        return "is a folder" if file.is_dir() else "is no file"
    if file.stat().st_size == 0:
        return "is empty"
    if not is_sqlite:
        return None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError:
        return None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return f"is damaged ({error})"
    if found != "ok":
        return f"is damaged ({str(found).splitlines()[0]})"
    if missing := sorted(TABLES - tables):
        return f"is damaged: it lacks the table {missing[0]}"
    return None
