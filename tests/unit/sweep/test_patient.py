"""A storage that is away for a while, with real SQLite and journal files."""

import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path

import optuna
import pytest
import sqlalchemy.exc
from optuna.trial import TrialState

from gacsnn.errors import StorageError
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import claim, effective_trials
from gacsnn.sweep.leases import dead
from gacsnn.sweep.patient import PatientStorage, impatient, is_away
from gacsnn.sweep.storage import open_storage, open_study


class Journal:
    """A study in a journal file that can be put out of reach, and back, in one step."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.link, self.file, self.folder = folder / "link", folder / "trials.log", folder / "none"
        self.folder.mkdir()
        self.point_to(self.file)
        self.study = open_study("s", open_storage(f"journal:{self.link}", patience), ["maximize"], {})

    def point_to(self, target: Path) -> None:
        new = self.link.with_name("new")
        new.symlink_to(target)
        new.replace(self.link)

    def leave(self, seconds: float | None = None) -> None:
        self.point_to(self.folder)
        if seconds is not None:
            threading.Timer(seconds, self.point_to, [self.file]).start()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("gacsnn"), "propagate", True)
    caplog.set_level(logging.INFO, "gacsnn")
    return caplog


def test_a_storage_that_is_away_is_waited_for_and_that_is_said_once(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, 60.0)
    journal.leave(3.0)
    journal.study.set_user_attr("a", 1)
    assert journal.study.user_attrs["a"] == 1
    lines = [record.getMessage() for record in said.records]
    assert len(lines) == 2, lines
    assert "is away (IsADirectoryError" in lines[0]
    assert "is back after" in lines[1]


def test_one_that_stays_away_ends_the_wait(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1.0)
    journal.leave()
    with pytest.raises(StorageError, match="the same command goes on when it is back"):
        journal.study.set_user_attr("a", 1)
    journal.point_to(journal.file)
    journal.study.set_user_attr("a", 2)
    assert journal.study.user_attrs["a"] == 2


def test_who_is_impatient_does_not_wait(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 3600.0)
    journal.leave()
    with impatient(), pytest.raises(StorageError):
        journal.study.set_user_attr("a", 1)


def test_a_locked_database_is_away(tmp_path: Path) -> None:
    study = open_study("s", open_storage(f"sqlite:///{tmp_path / 'study.db'}", 0.5), ["maximize"], {})
    holder = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    holder.execute("begin exclusive")
    with pytest.raises(StorageError, match="database is locked"):
        study.set_user_attr("a", 1)
    holder.execute("rollback")
    study.set_user_attr("a", 1)


@pytest.mark.parametrize("url", ["sqlite:///{}/s/study.db", "journal:{}/s/trials.log"])
def test_a_file_that_was_removed_is_not_waited_for_and_not_made_again(tmp_path: Path, url: str) -> None:
    study = open_study("s", open_storage(url.format(tmp_path), 3600.0), ["maximize"], {})
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(StorageError, match="is gone"):
        study.set_user_attr("a", 1)
    (tmp_path / "s").mkdir()
    with pytest.raises(StorageError, match="is gone"):
        study.ask()
    with pytest.raises(StorageError, match="is gone"):
        open_storage(url.format(tmp_path), wait=True)
    assert list((tmp_path / "s").iterdir()) == []


def test_ctrl_c_is_heard_while_a_storage_is_waited_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 3600.0)
    journal.leave()
    threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        journal.study.set_user_attr("a", 1)


def test_an_error_of_what_was_asked_is_not_tried_again(tmp_path: Path) -> None:
    study = Journal(tmp_path, 3600.0).study
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        study._storage.set_trial_user_attr(trial._trial_id, "a", 1)


class Lossy(optuna.storages.InMemoryStorage):
    """Does what it is asked to, and then loses the connection, as many times as it is told to."""

    losses = 0

    def lose(self) -> None:
        if self.losses:
            self.losses -= 1
            raise ConnectionResetError("connection reset by peer")

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: object = None) -> bool:
        done = super().set_trial_state_values(trial_id, state, values)  # type: ignore[arg-type]
        self.lose()
        return done

    def create_new_trial(self, study_id: int, template_trial: object = None) -> int:
        number = super().create_new_trial(study_id, template_trial)  # type: ignore[arg-type]
        self.lose()
        return number


def test_a_trial_whose_end_was_told_though_the_answer_was_lost_is_told_once() -> None:
    storage = Lossy()
    study = open_study("s", PatientStorage(storage, "storage", None, 60.0), ["maximize"], {})
    trial = study.ask()
    storage.losses = 1
    study.tell(trial, 1.0)
    assert [trial.value for trial in study.trials] == [1.0]


def test_a_trial_that_was_made_twice_is_one_of_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has no owner, and is taken up as any other that was killed while it began."""
    monkeypatch.setattr("gacsnn.sweep.leases.UNOWNED", 0.5)
    storage = Lossy()
    study = open_study("s", PatientStorage(storage, "storage", None, 60.0), ["maximize"], {})
    storage.losses = 1
    while (trial := claim(study, 2, 2, 60.0, lambda index: optuna.samplers.RandomSampler(seed=index))) is not None:
        study.tell(trial, trial.suggest_float("x", 0, 1))
    trials = effective_trials(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert len({trial.params["x"] for trial in trials}) == 2


def test_an_absence_of_the_storage_is_not_held_against_an_owner_on_another_machine(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 60.0)
    trial = claim(journal.study, 1, 2, 1.0, lambda index: optuna.samplers.RandomSampler(seed=index))
    assert trial is not None
    trial.set_user_attr("owner", {"host": "elsewhere", "boot": "", "pid": 1, "start": "1"})
    assert dead(journal.study, journal.study.trials[0]) is None
    journal.leave(2.0)
    held = journal.study.trials[0]  # waits
    assert dead(journal.study, held) is None
    time.sleep(1.1)
    assert dead(journal.study, held) is not None


def test_what_a_lost_connection_leaves_behind_is_away() -> None:
    """Optuna tries another query in the same session then, whose error is of the session; seen with a server that restarts."""
    error = optuna.exceptions.StorageInternalError("An exception is raised during the commit")
    assert not is_away(error)
    error.__cause__ = sqlalchemy.exc.PendingRollbackError("Can't reconnect until invalid transaction is rolled back")
    assert is_away(error)
