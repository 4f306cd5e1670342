"""`study.json`, which says what study a folder holds and where its storage is; and whether that can be read at all.

It is written when the study has been made. So where it is there, the study is, or something was lost: a new study in its place
would take the runs of the old one for its own.
"""

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from gacsnn.config import text
from gacsnn.errors import InputError
from gacsnn.runtime.files import may_write, write_text

FILE = "study.json"

# How the folder of a sweep begins that confirms another, within that one's.
CONFIRMS = "confirm-"

# The tables that a study of any version of Optuna's has.
TABLES = {"studies", "study_user_attributes", "trials", "trial_params", "trial_user_attributes", "trial_values"}

# How each record of a journal begins; a string within one cannot hold it, because JSON escapes quotes.
RECORD = b'{"op_code":'


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    write_text(folder / FILE, text.to_json(about, indent=2) + "\n")


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


# A SQLite file as a URL. Only NAME=VALUE behind a question mark, without a slash, is a query: folders may have any name.
SQLITE = re.compile(r"(sqlite(?:\+pysqlite)?:///)(.+?)(\?\w+=[^/]*)?", re.DOTALL)


def storage_beside(folder: Path) -> str:
    """The database of a study whose trials lie in this folder, where none is given."""
    return f"sqlite:///{folder / 'study.db'}"


def file_of(url: str) -> Path | None:
    """The file of a storage that is one."""
    if url.startswith("journal:"):
        return Path(url.removeprefix("journal:").removeprefix("//"))
    found = SQLITE.fullmatch(url)
    return Path(found[2]) if found and not found[2].startswith("file:") else None


def has_query(url: str) -> bool:
    """Return whether the URL of a SQLite file has options for SQLAlchemy."""
    found = SQLITE.fullmatch(url)
    return bool(found and found[3])


def with_file(url: str, file: Path) -> str:
    """Return the URL of a storage of the same kind in another file."""
    if found := SQLITE.fullmatch(url):
        return f"{found[1]}{file}{found[3] or ''}"
    return f"journal:{file}"


def absolute_storage(url: str | None) -> str | None:
    """Return a storage as typed on the command line, its file relative to the working folder, with an absolute path."""
    file = None if url is None else file_of(url)
    return url if url is None or file is None else with_file(url, file.absolute())


def written_storage(url: str | None, folder: Path) -> str | None:
    """Return a storage as `study.json` names it: a file in the study's folder relative to it, so that the folder can move."""
    file = None if url is None else file_of(url)
    if url is None or file is None or not file.is_relative_to(folder):
        return url
    return with_file(url, file.relative_to(folder))


def storage_of(folder: Path, about: Mapping[str, Any]) -> str:
    """The storage that a sweep's `study.json` names. The folder may have been moved since.

    A relative path begins in the study's folder, or, as earlier versions wrote it, in the folder where the sweep was started:
    one above the study's, or else perhaps the working folder.

    Raises:
        InputError: when its file is not there; a new one would be an empty study.
    """
    folder = folder.absolute()
    url = about["storage"] or storage_beside(folder)
    file = file_of(url)
    if file is None:
        return url
    places = [base / file for base in (folder, *folder.parents, Path.cwd())]  # of an absolute path all are the same
    for place in (*places, folder / file.name):
        if place.exists():
            return with_file(url, place)
    if (folder / "study.db").exists():
        return storage_beside(folder)
    raise InputError(f"study={folder}: its storage {url} is not there")


def check_new(url: str) -> None:
    """Find out, writing nothing, whether a new study may be written into the file of a storage, if there is one.

    Raises:
        InputError: if the file belongs to another program.
    """
    file = file_of(url)
    if file is None or not file.exists() or (file.is_file() and file.stat().st_size == 0):
        return
    if reason := fault(file, SQLITE.fullmatch(url) is not None, begun=False):
        raise InputError(f"hydra.sweeper.storage={url}: this file {reason}; give another one, or remove it")


def check_database(url: str, writes: bool = False) -> None:
    """Find out, writing nothing, whether the file of a storage, which was there before, can be read; a server is asked later.

    Raises:
        InputError: when it is gone, cut, damaged or none; SQLite would make what is missing anew, and empty.
    """
    file = file_of(url)
    if file is None:
        return
    reason = fault(file, SQLITE.fullmatch(url) is not None)
    if reason is None and writes and not may_write(file):
        reason = "cannot be written (no permission)"
    if reason is not None:
        raise InputError(
            f"hydra.sweeper.storage={url}: the study's file {reason}; put a copy of it back, or begin another study: the runs "
            "beside it stay as they are"
        )


def fault(file: Path, is_sqlite: bool, begun: bool = True) -> str | None:
    """What is wrong with a storage's file, in words; what is only locked or busy says itself when it is opened."""
    if not file.exists():
        return "is gone"
    if not file.is_file():
        return "is a folder" if file.is_dir() else "is no file"
    if file.stat().st_size == 0:
        return "is empty"
    if not is_sqlite:
        return None if is_journal(file) else "is no journal of a study"
    foreign = None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not begun and not tables >= TABLES:
                foreign = foreign_table(database, tables)
    except sqlite3.OperationalError:
        return None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return f"is damaged ({error})"
    if found != "ok":
        return f"is damaged ({str(found).splitlines()[0]})"
    if foreign is not None:
        return f"is a database of another program: its table {foreign} is none of a study"
    if begun and (missing := sorted(TABLES - tables)):
        return f"is damaged: it lacks the table {missing[0]}"
    return None


def is_made(file: Path) -> bool:
    """Return whether a SQLite file has all tables of a study, of whatever version of Optuna's."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            made = names >= TABLES | {"alembic_version"}
            return made and database.execute("SELECT version_num FROM alembic_version").fetchone() is not None
    except sqlite3.Error:
        return False


def foreign_table(database: sqlite3.Connection, tables: set[str]) -> str | None:
    """Return the first table that Optuna would not have made, or None: a study that is being made lacks tables, too."""
    from optuna.storages._rdb.models import BaseModel  # here, because most readers of study.json need no Optuna

    ours = {table.name: {column.name for column in table.columns} for table in BaseModel.metadata.sorted_tables}
    for name in sorted(tables):
        columns = {column for (column,) in database.execute("SELECT name FROM pragma_table_info(?)", (name,))}
        if not columns >= ours.get(name, {""}):
            return name
    return None


def is_journal(file: Path) -> bool:
    """Return whether a file that is not empty begins as a journal, or as the first, cut line of one."""
    with file.open("rb") as opened:
        found = opened.read(len(RECORD))
    return RECORD.startswith(found)
