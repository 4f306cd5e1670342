"""A study in Optuna's storage: opened, or made where there is none."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from gacsnn.config.merge import differences
from gacsnn.config.messages import first_line
from gacsnn.errors import InputError
from gacsnn.sweep.objectives import DirectionName

optuna.logging.set_verbosity(optuna.logging.WARNING)

T = TypeVar("T")


def open_storage(url: str) -> BaseStorage:
    """An Optuna storage: a database URL as SQLAlchemy takes it, or `journal:FILE`.

    Raises:
        InputError: when it cannot be reached.
    """
    try:
        if url.startswith("journal:"):
            file = Path(url.removeprefix("journal:").removeprefix("//"))
            file.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(file)))
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            return with_retry(lambda: RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 100}}), half_made)
        return with_retry(lambda: RDBStorage(url, engine_kwargs={"pool_pre_ping": True}), half_made)
    except Exception as error:  # drivers raise what they like
        raise InputError(f"hydra.sweeper.storage={url}: cannot be reached ({first_line(error)})") from None


def storage_beside(folder: Path) -> str:
    """The database of a study whose trials lie in this folder, where none is given."""
    return f"sqlite:///{folder / 'study.db'}"


def storage_of(folder: Path, about: Mapping[str, Any]) -> str:
    """The storage that a sweep's `study.json` names. The folder may have been moved since.

    Raises:
        InputError: when its file is not there; a new one would be an empty study.
    """
    url = about["storage"] or storage_beside(folder)
    file = Path(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///") or file.exists():
        return url
    if (folder / "study.db").exists():
        return storage_beside(folder)
    raise InputError(f"study={folder}: its storage {url} is not there")


def run_of(trial: FrozenTrial, folder: Path) -> Path:
    """The run directory of a trial, whose path is relative to the study's folder, or absolute in studies of old."""
    run = folder / trial.user_attrs.get("run", str(trial.number))
    return run if run.exists() else folder / run.name


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


def open_study(
    name: str, storage: BaseStorage, directions: Sequence[DirectionName], identity: Mapping[str, Any]
) -> optuna.Study:
    """The study of that name, made where there is none.

    `identity` says what makes trials comparable: the search space and all that is not searched.

    Raises:
        InputError: when the study has other directions or another identity.
    """
    study = with_retry(
        lambda: optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True),
        lambda error: isinstance(error, StorageInternalError),
    )
    there = [direction.name.lower() for direction in study.directions]
    if there != list(directions):
        raise InputError(
            f"hydra.sweeper.study_name={name}: this study exists, and its direction is {', '.join(there)}, not "
            f"{', '.join(directions)}; give another name"
        )
    saved = study.user_attrs.get("identity")
    if saved is None:
        study.set_user_attr("identity", dict(identity))
    elif differ := differences(saved, identity, most=4):
        raise InputError(
            f"hydra.sweeper.study_name={name}: the trials of this study are of another kind: {differ}; give another name"
        )
    return study
