"""Sweeps whose storage, folder or machine goes away."""

import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from databases import Server
from program import FOLDER, SEARCH, Launch, once_saved, refused, start, wait_for, wait_for_epochs
from studies import check_whole, load


def lines(process: "subprocess.Popen[str]", seconds: float = 120) -> list[str]:
    out, _ = process.communicate(timeout=seconds)
    assert "Traceback" not in out, out
    return out.splitlines()


@pytest.mark.parametrize("storage", ["null", pytest.param("journal:trials.log", marks=pytest.mark.slow)])
def test_a_study_whose_folder_is_removed_ends_in_one_line(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    command = ("-m", *SEARCH, "epochs=1000", "hydra.sweeper.n_trials=3", f"hydra.sweeper.storage={storage}")
    once_saved(monkeypatch, tmp_path / FOLDER / "0", lambda: (tmp_path / FOLDER).rename(tmp_path / "elsewhere"))
    code, out, err = launch(*command)
    assert (code, err.count("\n")) == (1, 1), err
    assert "Traceback" not in out
    assert err.startswith("error: ")
    assert "gone" in err
    assert not (tmp_path / FOLDER).exists()


@pytest.fixture
def another_machine() -> tuple[str, ...]:
    """What starts a process under another host name."""
    command = ("unshare", "--uts", "sh", "-c", 'echo elsewhere > /proc/sys/kernel/hostname; exec "$@"', "sh")
    tried = subprocess.run([*command, "uname", "-n"], capture_output=True, text=True, check=False)
    if tried.stdout != "elsewhere\n":
        pytest.skip("no host name of one's own to be had")
    return command


def content(run: Path) -> dict[Path, tuple[int, int]]:
    """When each file of a run was written, and its size."""
    files = [path for path in run.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def silence(process: subprocess.Popen[str], database: Path) -> None:
    """Stop a process between two of its transactions: in one it would lock SQLite's file for all, as long as it is silent."""
    for _ in range(100):
        process.send_signal(signal.SIGSTOP)
        connection = sqlite3.connect(database, timeout=1.0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("it was within a transaction each time")


@pytest.mark.slow
def test_a_silent_owner_that_comes_back_writes_nothing_and_does_the_next_trial(
    tmp_path: Path, another_machine: tuple[str, ...]
) -> None:
    command = ("-m", *SEARCH, "epochs=60", "hydra.sweeper.n_trials=3", "hydra.sweeper.lease_seconds=2")
    silent = start(tmp_path, *command, before=another_machine)
    wait_for((tmp_path / FOLDER / "0" / "checkpoints" / "best.pt").exists, silent)
    wait_for_epochs(tmp_path / FOLDER / "0", 3, silent)
    silence(silent, tmp_path / FOLDER / "study.db")
    other = start(tmp_path, *command)
    wait_for(lambda: [t for t in load(tmp_path / FOLDER).trials if "retry_of" in t.user_attrs], other)
    wait_for((tmp_path / FOLDER / "2" / "metrics.jsonl").exists, other)
    left = content(tmp_path / FOLDER / "0")
    silent.send_signal(signal.SIGCONT)
    said, others = lines(silent), lines(other)
    assert (silent.returncode, other.returncode) == (0, 0), (said, others)
    assert content(tmp_path / FOLDER / "0") == left, "it wrote on"
    assert sum(line.startswith("trial 0: ") and "the trial is another's" in line for line in said) == 1, said
    study = check_whole(tmp_path, 3, epochs=60)
    assert [trial.state.name for trial in study.trials].count("FAIL") == 1
    assert {t.user_attrs["owner"]["host"] for t in study.trials[1:]} > {"elsewhere"}, "it did no other trial"


@pytest.mark.slow
def test_a_database_server_that_restarts_is_waited_for(tmp_path: Path, postgresql: Server) -> None:
    command = ("-m", *SEARCH, "hydra.sweeper.n_trials=8", f"hydra.sweeper.storage={postgresql.url}")
    process = start(tmp_path, *command, "hydra.sweeper.n_jobs=2")
    wait_for(lambda: list((tmp_path / FOLDER).glob("*/checkpoints/last.pt")), process)
    for away in (0.0, 12.0):
        postgresql.stop()
        time.sleep(away)
        postgresql.start()
        time.sleep(3.0)
    said = lines(process)
    assert process.returncode == 0, said
    assert any("is away" in line for line in said), said
    assert any("is back after" in line for line in said), said
    study = check_whole(tmp_path, 8)
    assert not [trial.user_attrs["reason"] for trial in study.trials if "died" in trial.user_attrs]


@pytest.mark.slow
def test_a_database_server_that_stays_away_ends_the_sweep_and_loses_nothing(tmp_path: Path, postgresql: Server) -> None:
    command = ("-m", *SEARCH, "epochs=30", "hydra.sweeper.n_trials=2", f"hydra.sweeper.storage={postgresql.url}")
    process = start(tmp_path, *command, "hydra.sweeper.storage_patience_seconds=3")
    wait_for(lambda: list((tmp_path / FOLDER).glob("*/checkpoints/last.pt")), process)
    postgresql.stop()
    said = lines(process)
    assert process.returncode == 1
    assert "the same command goes on when it is back" in said[-1]
    postgresql.start()
    again = start(tmp_path, *command)
    said = lines(again)
    assert again.returncode == 0, said
    check_whole(tmp_path, 2, epochs=30)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("preset=faithful",),
            "trials with task.selected_by=test (which preset=faithful sets) have no validation_top1",
        ),
        (("task.selected_by=test",), "trials with task.selected_by=test"),
        (("dataset.validation=0.0",), "trials with dataset.validation=0 have no validation_top1"),
    ],
)
def test_trials_without_the_score_they_are_compared_by_are_refused_before_the_first(
    launch: Launch, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    line = refused(launch, tmp_path, "-m", *SEARCH, "hydra.sweeper.test=all", *given)
    assert line.startswith("hydra.sweeper.objectives: ")
    assert said in line
