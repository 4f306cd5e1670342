"""A study in Optuna's storage: opened, or made where there is none."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from gacsnn.config.merge import differences
from gacsnn.config.messages import first_line
from gacsnn.errors import GacsnnError, InputError, StorageError, file_error
from gacsnn.sweep.about import check_database, file_of, has_query, is_made, read_about, storage_of
from gacsnn.sweep.claims import TAKEN_FROM
from gacsnn.sweep.journal import Journal
from gacsnn.sweep.objectives import DirectionName
from gacsnn.sweep.patient import Absence, PatientStorage, is_away
from gacsnn.sweep.points import in_words

optuna.logging.set_verbosity(optuna.logging.WARNING)

T = TypeVar("T")


def open_storage(url: str, patience: float = 0.0, wait: bool = False) -> PatientStorage:
    """An Optuna storage: a database URL as SQLAlchemy takes it, or `journal:FILE`.

    Args:
        url: where it is.
        patience: seconds for which each call waits while the storage is away.
        wait: whether it was there before, so that it is not made, and waited for here, too.

    Raises:
        InputError: when it cannot be reached.
        StorageError: when it could not be reached in that time, or its file is gone.
    """
    name, file = f"hydra.sweeper.storage={shown(url)}", file_of(url)
    absence, begun = Absence(name, patience), time.monotonic()
    if wait and file is not None and not file.exists():
        raise StorageError(f"{name} is gone: {file} is no longer there")
    while True:
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            inner = with_retry(lambda: connect(url, patience), half_made)
            absence.over()
            return PatientStorage(get_storage(inner), name, file, patience)
        except Exception as error:  # drivers raise what they like
            reason = first_line(error)
            if not (wait and is_away(error)):
                raise file_error(error, name) or InputError(f"{name}: cannot be reached ({reason})") from None
        absence.wait(reason, begun)


def connect(url: str, patience: float) -> BaseStorage:
    file = file_of(url)
    if file is None:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    if url.startswith("journal:"):
        return JournalStorage(Journal(file.absolute()))
    # Seconds that SQLite itself waits for a lock. Ctrl-C is not heard meanwhile; who is patient asks again.
    options: dict[str, Any] = {"timeout": min(patience, 10.0) or 100.0}
    made = is_made(file)  # a study of another version gets no new tables before Optuna refuses it
    if has_query(url):
        return RDBStorage(url, engine_kwargs={"connect_args": options}, skip_table_creation=made)
    # SQLAlchemy would read a ? or % in the path as a part of a URL, and Optuna a {.
    place, options = str(file.absolute()), {**options, "check_same_thread": False}
    pooled = {"poolclass": QueuePool, "creator": lambda: sqlite3.connect(place, **options)}
    return RDBStorage("sqlite://", engine_kwargs=pooled, skip_table_creation=made)


def shown(url: str) -> str:
    """A URL without its password."""
    if file_of(url) is not None:
        return url
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def load_study(folder: Path) -> tuple[optuna.Study, list[str]]:
    """The study of a sweep's folder, and its objectives.

    Raises:
        InputError: when there is none, its storage cannot be reached, or what it holds is damaged.
    """
    about = read_about(folder)
    url = storage_of(folder.absolute(), about)
    check_database(url)
    return stored_study(about["study"], open_storage(url), url, f"study={folder}"), about["objectives"]


def stored_study(name: str, storage: BaseStorage, url: str, said: str) -> optuna.Study:
    """The study of that name, which was there before, read once as a whole.

    Raises:
        InputError: one line that begins with what is `said`, when it is not there, or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what is wrong is said below, in one line
    try:
        found = is_there(name, storage)
        study = optuna.load_study(study_name=name, storage=storage) if found else None
        if study is not None:
            dict(study.user_attrs)
            study.get_trials(deepcopy=False)
    except GacsnnError:
        raise
    except Exception as error:  # whatever Optuna makes of numbers and words that are none of its own
        raise InputError(f"{said}: the storage {shown(url)} is damaged ({first_line(error)})") from None
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    if study is None:
        raise InputError(f"{said}: the storage {shown(url)} has no study {name}")
    return study


def is_there(name: str, storage: BaseStorage) -> bool:
    try:
        storage.get_study_id_from_name(name)
    except KeyError:
        return False
    return True


def run_of(trial: FrozenTrial, folder: Path) -> Path:
    """The run directory of a trial, whose path is relative to the study's folder, or absolute in studies of old."""
    run = folder / trial.user_attrs.get("run", str(trial.number))
    return run if run.exists() or TAKEN_FROM in trial.user_attrs else folder / run.name


def runs_of(trial: FrozenTrial, folder: Path) -> list[Path]:
    """The run directories of a trial: one, or, where it is a mean over seeds, one for each."""
    return runs_in(run_of(trial, folder))


def runs_in(folder: Path) -> list[Path]:
    """The run directories in the folder of a trial, or that folder itself, where the trial is one run."""
    return sorted(folder.glob("seed-*"), key=lambda path: (len(path.name), path.name)) or [folder]


def with_retry(make: Callable[[], T], passing: Callable[[Exception], bool]) -> T:
    """Two processes that make the same thing at once: one finds it half made, and succeeds a little later.

    Raises whatever `make` raises at last, or at once when it is not `passing`.
    """
    for attempt in range(10):
        try:
            return make()
        except Exception as error:
            if not passing(error):
                raise
            time.sleep(0.2 * (attempt + 1))
    return make()


def half_made(error: Exception) -> bool:
    return any(word in str(error).lower() for word in ("exist", "unique", "locked"))


class OtherStudyError(InputError):
    """A study of that name is there, and its trials are of another kind."""


def open_study(
    name: str, storage: BaseStorage, directions: Sequence[DirectionName], identity: Mapping[str, Any]
) -> optuna.Study:
    """The study of that name, made where there is none.

    `identity` says what makes trials comparable: the search space and all that is not searched.

    Raises:
        InputError: when the study has other directions.
        OtherStudyError: when it has another identity.
    """
    study = with_retry(
        lambda: optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True),
        lambda error: isinstance(error, StorageInternalError),
    )
    check_kind(study, directions, identity)
    if "identity" not in study.user_attrs:
        study.set_user_attr("identity", dict(identity))
    return study


def check_kind(study: optuna.Study, directions: Sequence[DirectionName], identity: Mapping[str, Any]) -> None:
    """Raises InputError where a study has other directions, OtherStudyError where it has another identity."""
    name = study.study_name
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise InputError(
            f"hydra.sweeper.study_name={name}: this study exists, and its direction is {', '.join(there)}, not "
            f"{', '.join(directions)}; give another name"
        )
    saved = study.user_attrs.get("identity", identity)
    if plainly := differences(saved, identity, most=4):
        differ = differences(in_words(saved), in_words(identity), most=4) or plainly  # 1 and "1" are the same word
        raise OtherStudyError(
            f"hydra.sweeper.study_name={name}: the trials of this study are of another kind: {differ}; give another name"
        )
