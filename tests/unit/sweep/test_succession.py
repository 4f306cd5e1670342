"""Run directories that go from a dead trial, or one held for dead, to the trial that takes it up."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError, TakenOverError
from gacsnn.runtime.files import write_text
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import stop_if_requested
from gacsnn.sweep import endings, succession
from gacsnn.sweep.claims import claim, finish_early
from gacsnn.sweep.leases import MAY_LIVE, TAKEN_OVER, lease
from gacsnn.sweep.storage import open_study
from gacsnn.sweep.succession import take_over


def left_behind(folder: Path, number: int, may_live: bool = False, saved: bool = True) -> FrozenTrial:
    """A trial that died, and its run directory."""
    run = RunDirectory(folder / str(number))
    run.checkpoints.mkdir(parents=True)
    run.config_path.write_text(f"of {number}")
    (run.path / ".lock").touch()
    if saved:
        run.last.write_text(f"last of {number}")
        run.best.write_text(f"best of {number}")
        run.append_metrics({"epoch": 1})
    trial = optuna.trial.create_trial(state=TrialState.FAIL, user_attrs={MAY_LIVE: True} if may_live else {})
    trial.number = number
    return trial


def held(run: Path, seconds: float) -> "subprocess.Popen[bytes]":
    """A process that holds the lock of a run for so long."""
    program = f"import time, filelock\nwith filelock.FileLock({str(run / '.lock')!r}):\n print(flush=True); time.sleep({seconds})"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_the_run_of_a_trial_that_ended_is_renamed_when_its_last_process_has_gone(tmp_path: Path) -> None:
    trial = left_behind(tmp_path, 0)
    process = held(tmp_path / "0", 1.0)
    take_over(tmp_path, 3, [trial])
    assert process.poll() is not None or process.wait(timeout=5) == 0
    assert not (tmp_path / "0").exists()
    assert RunDirectory(tmp_path / "3").last.read_text() == "last of 0"


def test_a_lock_that_stays_held_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "PATIENCE", 0.3)
    trial = left_behind(tmp_path, 0)
    process = held(tmp_path / "0", 60.0)
    take_over(tmp_path, 3, [trial])
    new = RunDirectory(tmp_path / "3")
    with new.lock("resume"):
        assert new.last.read_text() == "last of 0"
    process.kill()
    process.wait()


def test_an_owner_that_may_live_keeps_its_directory_and_writes_nothing_more(tmp_path: Path) -> None:
    trial = left_behind(tmp_path, 0, may_live=True)
    (tmp_path / ".2.part").mkdir()  # of one that was killed while it copied
    killed = optuna.trial.create_trial(state=TrialState.FAIL)
    killed.number = 2
    take_over(tmp_path, 3, [killed, trial])
    old, new = RunDirectory(tmp_path / "0"), RunDirectory(tmp_path / "3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3"]
    files = [sorted(path.relative_to(run.path) for path in run.path.rglob("*")) for run in (old, new)]
    assert {str(path) for path in files[0]} - {str(path) for path in files[1]} == {".lock", ".taken_over"}
    assert new.best.read_text() == "best of 0"
    assert new.read_metrics() == [{"epoch": 1}]
    for write in (
        lambda: write_text(old.last, "later"),
        lambda: old.append_metrics({"epoch": 2}),
        lambda: old.write_result({}),
    ):
        with pytest.raises(TakenOverError, match=r"0: trial 3 has taken over; nothing more is written"):
            write()
    assert (old.last.read_text(), old.read_metrics()) == ("last of 0", [{"epoch": 1}])
    with pytest.raises(InputError, match="trial 3 has taken this run over"):
        old.check_resumable()
    write_text(new.last, "later")
    # The one that has it now may be taken over as well.
    later = optuna.trial.create_trial(state=TrialState.FAIL, user_attrs={MAY_LIVE: True})
    later.number = 3
    take_over(tmp_path, 5, [later, trial])
    assert RunDirectory(tmp_path / "5").last.read_text() == "later"


def left_behind_by_seed(folder: Path, number: int, may_live: bool = False) -> FrozenTrial:
    """A trial that died with its second seed, and the run directories of both."""
    for seed in (0, 1):
        trial = left_behind(folder / str(number), seed, may_live)
        (folder / str(number) / str(seed)).rename(folder / str(number) / f"seed-{seed}")
    trial.number = number
    return trial


def test_all_runs_of_a_trial_of_several_seeds_are_copied_and_their_owner_writes_nothing_more(tmp_path: Path) -> None:
    take_over(tmp_path, 3, [left_behind_by_seed(tmp_path, 0, may_live=True)])
    for seed in (0, 1):
        old, new = (RunDirectory(tmp_path / number / f"seed-{seed}") for number in ("0", "3"))
        assert new.last.read_text() == f"last of {seed}"
        assert not (new.path / ".taken_over").exists()
        with pytest.raises(TakenOverError, match="trial 3 has taken over"):
            old.append_metrics({"epoch": 2})
        with pytest.raises(TakenOverError, match="trial 3 has taken over"):
            write_text(old.last, "later")
    begun = tmp_path / "0" / "seed-2"
    begun.mkdir()
    with pytest.raises(TakenOverError, match="trial 3 has taken over"):
        write_text(begun / "config.yaml", "later")


def test_one_of_several_runs_whose_lock_stays_held_has_all_of_them_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(succession, "PATIENCE", 0.3)
    trial = left_behind_by_seed(tmp_path, 0)
    process = held(tmp_path / "0" / "seed-1", 60.0)
    take_over(tmp_path, 3, [trial])
    process.kill()
    process.wait()
    for number in ("0", "3"):
        assert [RunDirectory(tmp_path / number / f"seed-{s}").last.read_text() for s in (0, 1)] == [
            "last of 0",
            "last of 1",
        ]


def test_of_trials_of_several_seeds_too_the_newest_that_saved_anything_counts(tmp_path: Path) -> None:
    first, second = left_behind_by_seed(tmp_path, 0), left_behind(tmp_path, 1, saved=False)
    take_over(tmp_path, 2, [second, first])
    assert RunDirectory(tmp_path / "2" / "seed-1").last.read_text() == "last of 1"


def test_the_newest_trial_that_saved_anything_counts(tmp_path: Path) -> None:
    first, second = left_behind(tmp_path, 0, may_live=True), left_behind(tmp_path, 1, saved=False)
    take_over(tmp_path, 2, [second, first])
    assert RunDirectory(tmp_path / "2").last.read_text() == "last of 0"


def test_a_retry_of_a_trial_that_left_nothing_begins_anew(tmp_path: Path) -> None:
    trial = optuna.trial.create_trial(state=TrialState.FAIL)
    take_over(tmp_path, 2, [trial])
    assert list(tmp_path.iterdir()) == []


def look_again_and_again(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stop_if_requested()
        time.sleep(0.05)


def test_who_lost_his_trial_ends_at_the_next_renewal_and_tells_nothing() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    trial = claim(study, 1, 2, 60.0, lambda index: optuna.samplers.RandomSampler(seed=index))
    assert trial is not None
    with lease(study, trial._trial_id, 0.4):
        stop_if_requested()
        finish_early(study, trial, "nothing was heard of it", "died")
        with pytest.raises(TakenOverError, match="the trial is another's"):
            look_again_and_again(10)
    stop_if_requested()  # the next trial is not meant
    done = SimpleNamespace(return_value=1.0)
    assert endings.tell(study, ["validation_top1"], trial, done) == TAKEN_OVER
    assert study.trials[0].values is None


def test_of_errors_some_are_the_machines() -> None:
    machines = [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
    ]
    trials = [RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), ValueError("momentum")]
    assert [endings.is_machines(error) for error in machines + trials] == [True] * 3 + [False] * 2
