"""A machine that fails: no space left, a folder that is gone. One line, nothing half-written, and the run can go on."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from program import FOLDER, QUICK, ROOT, SEARCH, TINY, Launch, once_saved, read_metrics, read_result
from studies import load

from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.sweep import faults
from gacsnn.training import saving

STEPS = (*TINY, "hardware.threads=1", "epochs=3")


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """For the while no file of this process may grow beyond so many bytes: as a disk that is full, but for the words."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def with_small_files(folder: Path, size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command, with all that it starts, where no file may grow beyond so many bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, str(ROOT / "launch.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, preexec_fn=limit)


@pytest.fixture
def disk(tiny_made: Path, tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, with a run on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    try:
        shutil.copytree(tiny_made, disk / "run")
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Leave no space on a disk."""
    with suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


EVALUATE = ("hardware=cpu", "limit_eval=32", "checkpoint=run/checkpoints/best.pt")
WRITING = {
    "train": (*TINY, "output_dir=new"),
    "evaluate": ("task=evaluate", *EVALUATE),
    "energy": ("task=energy", *EVALUATE),
    "benchmark": ("task=benchmark", *TINY, "output_dir=new"),
    "table": ("task=table", "runs=run"),
    "grid": ("-m", "T=1,2", *TINY),
    "search": ("-m", *SEARCH, "hydra.sweeper.n_trials=1"),
}


@pytest.mark.parametrize("task", WRITING)
def test_task_on_a_full_disk_ends_in_one_line(
    task: str, disk: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(disk)
    fill(disk)
    before = {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()}
    code, _, err = launch(*WRITING[task])
    assert (code, err.count("\n")) == (1, 1), err
    assert "No space left on device; " in err or "database or disk is full; " in err
    after = {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()}
    assert after == before
    assert not list(disk.rglob("*.tmp"))


@pytest.mark.parametrize("task", ["train", "table", "grid", "search"])
def test_task_on_a_read_only_disk_ends_in_one_line(
    task: str, disk: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, _, err = launch(*WRITING[task])
    assert (code, err.count("\n")) == (1, 1), err
    assert f"{disk}: Read-only file system; " in err or "run/report: Read-only file system; " in err


def test_study_on_a_full_disk_ends_in_one_line_and_its_report_stays(
    disk: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(disk)
    assert launch("-m", *QUICK, "hydra.sweeper.n_trials=2", "max_steps=1").code == 0
    assert launch("task=study", f"study={FOLDER}").code == 0
    fill(disk)
    before = {path: path.read_bytes() for path in (disk / FOLDER).rglob("*") if path.is_file()}
    code, _, err = launch("task=study", f"study={FOLDER}")
    assert (code, err.count("\n")) == (1, 1), err
    assert f"{FOLDER}/report/trials.csv: No space left on device; " in err
    assert {path: path.read_bytes() for path in (disk / FOLDER).rglob("*") if path.is_file()} == before


def test_a_checkpoint_that_cannot_be_written_ends_the_run_in_one_line(launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, "epochs=1", "scheduler=constant", "output_dir=run").code == 0
    last = (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes()
    with small_files(50_000):
        code, _, err = launch("resume=run", "epochs=3")
    assert (code, err.count("\n")) == (1, 1), err
    assert "File too large" in err
    assert "epoch 1 is saved, and resume=run goes on after it" in err
    assert (tmp_path / "run" / "checkpoints" / "last.pt").read_bytes() == last
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["best.pt", "last.pt"]
    assert launch("resume=run", "epochs=3").code == 0
    assert launch(*STEPS, "scheduler=constant", "output_dir=whole").code == 0
    assert read_metrics(tmp_path / "run") == read_metrics(tmp_path / "whole")
    one, other = (torch.load(tmp_path / name / "checkpoints" / "last.pt")["model"] for name in ("run", "whole"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_save_within_an_epoch_that_fails_costs_no_older_one(launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, "epochs=2", "scheduler=constant", "output_dir=run").code == 0
    checkpoints = tmp_path / "run" / "checkpoints"
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    assert {"last.pt", "last-1.pt"} <= before.keys()
    with small_files(50_000):
        code, _, err = launch("resume=run", "epochs=40", "save_every_minutes=0.0001")
    assert (code, err.count("\n")) == (1, 1), err
    assert "epoch 2 is saved, and resume=run goes on after it" in err
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="root may write anywhere, and cannot be kept from it here")
@pytest.mark.parametrize("folder", ["run", "run/checkpoints"])
def test_a_folder_that_may_only_be_read_is_refused(folder: str, launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, "epochs=1", "output_dir=run").code == 0
    (tmp_path / folder).chmod(0o555)
    powers = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    command = [*powers, sys.executable, str(ROOT / "launch.py"), "resume=run", "epochs=2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (tmp_path / folder).chmod(0o755)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr == f"error: resume={folder}: cannot be written (no permission)\n"


def test_a_folder_that_becomes_unwritable_ends_the_run_in_one_line(
    tmp_path: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"

    def replace() -> None:
        checkpoints.rename(tmp_path / "aside")
        checkpoints.touch()  # no folder to write in, whoever asks

    once_saved(monkeypatch, tmp_path / "run", replace)
    code, out, err = launch(*TINY, "epochs=1000", "output_dir=run")
    assert (code, err.count("\n")) == (1, 1), err
    assert "Traceback" not in out
    assert "Not a directory" in err
    checkpoints.unlink()
    (tmp_path / "aside").rename(checkpoints)
    last = torch.load(checkpoints / "last.pt")["train_state"]["epoch"]
    assert launch("resume=run", f"epochs={last + 1}").code == 0


def test_a_run_directory_that_is_removed_ends_the_run_in_one_line(
    tmp_path: Path, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    once_saved(monkeypatch, tmp_path / "run", lambda: (tmp_path / "run").rename(tmp_path / "elsewhere"))
    code, out, err = launch(*TINY, "epochs=1000", "output_dir=run")
    assert (code, err.count("\n")) == (1, 1), err
    assert "Traceback" not in out
    assert "No such file or directory; nothing was saved yet, or it is gone" in err


def test_a_disk_that_is_full_for_a_while_uses_up_no_retries(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[Path] = []

    def full_at_first(run_dir: RunDirectory, *given: Any) -> None:
        saves.append(run_dir.path)
        if len(saves) <= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run_dir.last))
        write(run_dir, *given)

    write = saving.write
    monkeypatch.setattr(saving, "write", full_at_first)
    monkeypatch.setattr(faults, "FIRST_PAUSE", 0.01)
    code, out, err = launch("-m", *QUICK, "hydra.sweeper.n_trials=2", "hydra.sweeper.max_retries=0")
    assert code == 0, err
    assert out.count("retried after growing pauses") == 1
    assert out.count("No space left on device; nothing was saved yet, or it is gone; 0 of 2 trials done") == 3, out
    states = [trial.state.name for trial in load(tmp_path / FOLDER).trials]
    assert states == ["FAIL"] * 3 + ["COMPLETE"] * 2
    assert (tmp_path / FOLDER / "3").is_dir(), "the run directory is passed on"


def test_a_disk_that_stays_full_ends_the_sweep_which_goes_on_later(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run_dir: RunDirectory, *_given: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run_dir.last))

    command = ("-m", *QUICK, "hydra.sweeper.n_trials=1", "hydra.sweeper.max_retries=0")
    with monkeypatch.context() as patch:
        patch.setattr(saving, "write", full)
        code, _, err = launch(*command, "hydra.sweeper.storage_patience_seconds=0")
    assert (code, err.count("\n")) == (1, 1), err
    assert "the same command goes on later" in err
    assert launch(*command).code == 0


@pytest.mark.slow
def test_a_trial_on_a_machine_that_fails_is_taken_up_and_not_held_against_it(launch: Launch, tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "hydra.sweeper.n_trials=1", "hydra.sweeper.storage=journal:full.log")
    done = with_small_files(tmp_path, 50_000, *command, "hydra.sweeper.max_retries=1")
    assert done.returncode == 1
    assert "given up" in done.stderr
    assert "hydra.sweeper.retry=failed" in done.stderr
    assert "File too large" in done.stderr
    assert launch(*command, "hydra.sweeper.max_retries=5").code == 0
    result = max((tmp_path / FOLDER).glob("*/result.json"))
    assert read_result(result.parent)["top1"] is not None
    assert TrialState.COMPLETE.name in launch("task=study", f"study={FOLDER}").out
