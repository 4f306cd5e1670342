"""A storage that may be away for a while: each call waits for it, and only when it stays away does the sweep end.

Everything that is asked of a study's storage goes through here, so that no other code tries again. A call whose answer was lost
is done twice. That is the same as once for all but two: to make a trial, where the first one is left without an owner
and is taken up as any trial that was killed as it began (`claims.py`), and to end one, which is looked at below.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy.exc
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage

from gacsnn.config.messages import first_line
from gacsnn.errors import StorageError
from gacsnn.runtime.console import duration, log
from gacsnn.runtime.signals import StopRequested, stop_if_requested, stop_requested

# Seconds of an absence of which nothing is said, and between two tries.
UNNOTICED = 1.0
BETWEEN_TRIES = 0.5

# What sqlite3 calls operational of a database that is damaged, and stays so however long one waits.
DAMAGED = ("Could not decode to UTF-8", "no such column")

_thread = threading.local()


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Within the context no call of this thread waits: StorageError is raised at once."""
    _thread.impatient = True
    try:
        yield
    finally:
        _thread.impatient = False


def is_hurried() -> bool:
    """Return whether this thread should not wait: a signal asks for the end, or the caller is `impatient`."""
    return getattr(_thread, "impatient", False) or stop_requested()


class Absence:
    """Since when a storage has been away, and when it came back, by our clock; several threads see the same."""

    def __init__(self, name: str, patience: float) -> None:
        self.name, self.patience = name, patience
        self.since: float | None = None
        self.said = False
        self.back = float("-inf")
        self.lock = threading.Lock()

    def seen(self, reason: str) -> None:
        """After a call that failed. What lasts is said once."""
        with self.lock:
            self.since = time.monotonic() if self.since is None else self.since
            seconds = time.monotonic() - self.since
            if seconds >= UNNOTICED and not self.said:
                self.said = True
                log.warning(
                    f"{self.name} is away ({reason}); waiting for it, "
                    f"hydra.sweeper.storage_patience_seconds={self.patience:g} at most"
                )

    def over(self) -> None:
        """After a call that succeeded."""
        if self.since is None:
            return
        with self.lock:
            if self.said and self.since is not None:
                log.info(f"{self.name} is back after {duration(time.monotonic() - self.since)}")
            self.since, self.said, self.back = None, False, time.monotonic()

    def wait(self, reason: str, begun: float) -> None:
        """A moment, after a try to do what was begun at that time by our clock. Raises StorageError when it is too long ago."""
        self.seen(reason)
        if is_hurried() or time.monotonic() - begun >= self.patience:
            raise StorageError(f"{self.name} is away ({reason}); the same command goes on when it is back")
        until = time.monotonic() + BETWEEN_TRIES
        while time.monotonic() < until:
            stop_if_requested()
            if stop_requested():  # one that is put off, and that takes the place of this error at the end of the block
                raise StopRequested(128 + signal.SIGINT)
            time.sleep(0.05)


def through(method: str) -> Callable[..., Any]:
    def call(self: "PatientStorage", *args: Any, **kwargs: Any) -> Any:
        return self.call(method, *args, **kwargs)

    return call


class PatientStorage(BaseStorage):
    """Optuna's storage `inner`, whose calls are tried again for `patience` seconds while it cannot be reached.

    A `file` that is no longer there is not waited for: it was removed, and SQLite would make an empty one in its place.
    Any call raises StorageError at the end of the patience, and as soon as Ctrl-C or the like asks for the end.
    """

    def __init__(self, inner: BaseStorage, name: str, file: Path | None, patience: float) -> None:
        self.inner, self.file = inner, file
        self.absence = Absence(name, patience)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        begun, again = time.monotonic(), False
        while True:
            try:
                self.check_file()
                result = getattr(self.inner, method)(*args, **kwargs)
            except Exception as error:
                self.check_file()
                if again and isinstance(error, UpdateFinishedTrialError) and self.is_done(method, *args, **kwargs):
                    result = True
                elif is_away(error):
                    self.absence.wait(first_line(error.__cause__ or error), begun)
                    again = True
                    continue
                else:
                    raise
            self.absence.over()
            return result

    def check_file(self) -> None:
        if self.file is not None and not self.file.exists():
            raise StorageError(f"{self.absence.name} is gone: {self.file} is no longer there")

    def is_done(self, method: str, trial_id: int, state: Any = None, values: Any = None) -> bool:
        """Whether the trial that "is finished already" was so by this very call, whose answer was lost."""
        if method != "set_trial_state_values":
            return False
        trial = self.call("get_trial", trial_id)
        return trial.state == state and (values is None or trial.values == list(values))

    # All that Optuna asks of a storage.
    create_new_study = through("create_new_study")
    delete_study = through("delete_study")
    set_study_user_attr = through("set_study_user_attr")
    set_study_system_attr = through("set_study_system_attr")
    get_study_id_from_name = through("get_study_id_from_name")
    get_study_name_from_id = through("get_study_name_from_id")
    get_study_directions = through("get_study_directions")
    get_study_user_attrs = through("get_study_user_attrs")
    get_study_system_attrs = through("get_study_system_attrs")
    get_all_studies = through("get_all_studies")
    create_new_trial = through("create_new_trial")
    set_trial_param = through("set_trial_param")
    get_trial_id_from_study_id_trial_number = through("get_trial_id_from_study_id_trial_number")
    get_trial_number_from_id = through("get_trial_number_from_id")
    get_trial_param = through("get_trial_param")
    set_trial_state_values = through("set_trial_state_values")
    set_trial_intermediate_value = through("set_trial_intermediate_value")
    set_trial_user_attr = through("set_trial_user_attr")
    set_trial_system_attr = through("set_trial_system_attr")
    get_trial = through("get_trial")
    get_all_trials = through("get_all_trials")
    get_n_trials = through("get_n_trials")
    get_best_trial = through("get_best_trial")
    get_trial_params = through("get_trial_params")
    get_trial_user_attrs = through("get_trial_user_attrs")
    get_trial_system_attrs = through("get_trial_system_attrs")
    remove_session = through("remove_session")
    check_trial_is_updatable = through("check_trial_is_updatable")


def is_away(error: BaseException) -> bool:
    """Whether a storage's error is one of its connection, file or server, and not of what it was asked."""
    cause: BaseException | None = error
    passing = (
        sqlalchemy.exc.OperationalError,
        sqlalchemy.exc.InterfaceError,
        sqlalchemy.exc.PendingRollbackError,  # of what Optuna tries in a session whose connection was lost
        sqlalchemy.exc.TimeoutError,
        OSError,
    )
    while cause is not None:
        if any(words in str(cause) for words in DAMAGED):
            return False
        if isinstance(cause, passing) or getattr(cause, "connection_invalidated", False):
            return True
        cause = cause.__cause__
    return False


def back_since(storage: BaseStorage) -> float:
    """When a storage came back for the last time, by our clock; minus infinity for one that was never away."""
    return storage.absence.back if isinstance(storage, PatientStorage) else float("-inf")
