"""A run that is interrupted anywhere, also within an epoch, ends with the same weights and metrics as one that never was."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from program import TINY, Launch, read_metrics, read_result, refused, start, wait_for

from gacsnn.runtime import signals
from gacsnn.runtime.signals import REQUEUE
from gacsnn.training import checkpoint, loop

# 4 steps an epoch, 3 epochs; validation has 2 batches.
STEPS = (*TINY, "hardware.threads=1", "batch_size=16", "epochs=3")
RUNS = {
    "cutmix": ("augmentation=cutmix", "scheduler=cosine"),
    "cutmix-epoch": ("augmentation=cutmix_always", "augmentation.drawn_every=epoch", "scheduler=cosine_by_epoch"),
    "poisson": ("encoder=poisson", "augmentation=mixup"),
    "dropout": ("model=resnet104", "model.width=0.05", "model.stages=[[64,1,1],[128,1,2]]", "optimizer=sgd"),
    "fp16": ("hardware.precision=fp16", "scheduler=step", "scheduler.every_epochs=1"),
}


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / f"{name}.pt")["model"]


def state(run: Path) -> dict[str, int]:
    return torch.load(run / "checkpoints" / "last.pt")["train_state"]


def assert_same(one: Path, other: Path) -> None:
    assert read_metrics(one) == read_metrics(other)
    for name in ("last", "best"):
        a, b = weights(one, name), weights(other, name)
        assert all(torch.equal(a[key], b[key]) for key in a), name
    assert read_result(one)["top1"] == read_result(other)["top1"]
    assert read_result(one)["config_hash"] == read_result(other)["config_hash"]


@contextmanager
def ask_to_stop(monkeypatch: pytest.MonkeyPatch, look: int) -> Iterator[list[int]]:
    """As if a signal came just before the look-th look of this process: there are looks after steps and in validation."""
    looks: list[int] = []
    original: Callable[[], int] = signals.requested

    def counted() -> int:
        looks.append(1)
        if len(looks) == look:
            signals.on_signal(signal.SIGTERM, None)
        return original()

    with monkeypatch.context() as patch:
        patch.setattr(loop, "requested", counted)
        patch.setattr(signals, "requested", counted)
        yield looks


# The looks at which each is stopped: the first step, the middle of a validation, a step of a later epoch. Others are slow.
STOPS = {"cutmix": (1, 5), "cutmix-epoch": (7,), "poisson": (6,), "dropout": (3,), "fp16": (6,)}
MORE = {"cutmix": (2, 3, 4, 7, 11), "cutmix-epoch": (2,), "poisson": (2, 5)}


@pytest.mark.parametrize(
    ("kind", "stops"),
    [
        *(pytest.param(kind, stops, id=kind) for kind, stops in STOPS.items()),
        *(pytest.param(kind, stops, id=f"{kind}-more", marks=pytest.mark.slow) for kind, stops in MORE.items()),
    ],
)
def test_a_run_may_be_stopped_at_any_step_and_in_any_validation(
    kind: str, stops: tuple[int, ...], launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch(*STEPS, *RUNS[kind], "output_dir=whole").code == 0
    for look in stops:
        run = f"stopped-{look}"
        with ask_to_stop(monkeypatch, look):
            code, out, err = launch(*STEPS, *RUNS[kind], f"output_dir={run}")
        assert code == 143, err
        assert "interrupted; " in out
        assert not (tmp_path / run / "result.json").exists()
        assert launch(f"resume={run}").code == 0
        assert_same(tmp_path / run, tmp_path / "whole")


def test_it_may_be_stopped_again_and_again(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch(*STEPS, *RUNS["cutmix"], "output_dir=whole").code == 0
    command = [*STEPS, *RUNS["cutmix"], "output_dir=run"]
    code = 143
    for _ in range(30):
        with ask_to_stop(monkeypatch, 3):  # a validation has two looks, and must be passed
            code = launch(*command).code
        command = ["resume=run"]
        if code == 0:
            break
        assert code == 143
    assert code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_max_steps_within_an_epoch_does_not_count_it_as_done(launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, "output_dir=whole").code == 0
    assert launch(*STEPS, "max_steps=2", "output_dir=run").code == 0
    first = read_result(tmp_path / "run")
    assert (first["steps"], first["epochs"], first["selected_by"]) == (2, 0, "last step (2), as no epoch was finished")
    assert first["validation_top1"] is not None
    assert launch("resume=run", "max_steps=6").code == 0
    assert (read_result(tmp_path / "run")["steps"], read_result(tmp_path / "run")["epochs"]) == (6, 1)
    assert launch("resume=run", "max_steps=null").code == 0
    assert read_result(tmp_path / "run")["epochs"] == 3
    assert read_metrics(tmp_path / "run") == read_metrics(tmp_path / "whole")
    one, other = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_max_minutes_saves_and_says_run_me_again(launch: Launch, tmp_path: Path) -> None:
    options = (*STEPS, *RUNS["cutmix"], "epochs=1")
    assert launch(*options, "output_dir=whole").code == 0
    for step in range(1, 5):
        code, out, err = launch(*options, "max_minutes=1e-6", "output_dir=run", "resume=auto")
        assert code == REQUEUE, err
        assert "max_minutes=1e-06 are over" in out
        assert state(tmp_path / "run")["step"] == step
        assert not (tmp_path / "run" / "result.json").exists()
    assert launch(*options, "max_minutes=1e-6", "output_dir=run", "resume=auto").code == 0, "no step is left"
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_max_minutes_of_several_processes(tmp_path: Path) -> None:
    process = start(tmp_path, *STEPS, "hardware.processes=2", "max_minutes=1e-6", "output_dir=run")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == REQUEUE, out
    assert "Traceback" not in out
    assert state(tmp_path / "run")["step"] == 1


def test_max_minutes_of_a_sweep_is_refused(launch: Launch, tmp_path: Path) -> None:
    said = refused(launch, tmp_path, "-m", *TINY, "sweeps=t_lr", "max_minutes=1")
    assert said.startswith("max_minutes: ends a run that")
    code, out, err = launch("-m", *TINY, "T=1,2", "max_minutes=1")
    assert (code, out) == (2, "")
    assert err == f"error: {said} (job 0 of the grid: T=1)\n"


@pytest.mark.parametrize(
    "look", [8, 9]
)  # after the step that is the last; in the validation of the epoch that ends there
def test_an_epoch_that_ends_with_max_steps_is_ended_by_who_goes_on(
    look: int, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*STEPS, "max_steps=8")
    assert launch(*options, "output_dir=whole").code == 0
    with ask_to_stop(monkeypatch, look + 2):  # the first validation looked twice
        assert launch(*options, "output_dir=run").code == 143
    stopped = state(tmp_path / "run")
    assert (stopped["epoch"], stopped["batch"], stopped["step"]) == (1, 4, 8)
    assert launch("resume=run").code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert read_result(tmp_path / "run")["epochs"] == 2


@pytest.mark.slow
def test_a_kill_loses_no_more_than_what_was_not_saved_yet(launch: Launch, tmp_path: Path) -> None:
    options = (*TINY, "hardware.threads=1", "limit_train=1000", "batch_size=4", "epochs=2", "augmentation=cutmix")
    process = start(tmp_path, *options, "save_every_minutes=0.0005", "output_dir=run")
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    wait_for(last.exists, process)
    process.kill()
    process.wait()
    state = torch.load(last)["train_state"]
    assert state["epoch"] == 0
    assert 0 < state["batch"] < 250
    assert launch("resume=run").code == 0
    assert launch(*options, "output_dir=whole").code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


def kill_in_a_write(process: subprocess.Popen[str], checkpoints: Path) -> bool:
    """SIGKILL as soon as a checkpoint's file is begun; whether it was left in part."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if any(checkpoints.glob(".*.tmp")):
            break
    process.kill()
    process.wait()
    return any(checkpoints.glob(".*.tmp"))


@pytest.mark.slow
def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(launch: Launch, tmp_path: Path) -> None:
    options = (
        "hardware=cpu",
        "hardware.threads=1",
        "T=2",
        "limit_train=400",
        "limit_eval=32",
        "batch_size=4",
        "epochs=2",
    )
    # Wide layers in few stages: steps are quick and files are not.
    options = (*options, "model.width=0.5", "model.stages=[[64,1,2],[128,1,2],[512,1,2]]", "augmentation=cutmix")
    command = (*options, "save_every_minutes=0.0005", "output_dir=run")
    in_part = 0
    for _ in range(2):
        process = start(tmp_path, *command)
        checkpoints = tmp_path / "run" / "checkpoints"
        if command[0] != "resume=run":
            wait_for((checkpoints / "last.pt").exists, process)
        in_part += kill_in_a_write(process, checkpoints)
        for path in checkpoints.glob("*.pt"):
            torch.load(path)
        command = ("resume=run",)
    assert in_part > 0
    assert launch("resume=run").code == 0
    assert not list(checkpoints.glob(".*.tmp"))
    assert launch(*options, "output_dir=whole").code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_kills_at_any_moment_cost_no_bit(launch: Launch, tmp_path: Path) -> None:
    options = (*TINY, "hardware.threads=1", "limit_train=400", "batch_size=4", "epochs=6", "augmentation=cutmix")
    assert launch(*options, "output_dir=whole").code == 0
    generator = random.Random(9)
    command = (*options, "save_every_minutes=0.0002", "keep_checkpoints=3", "output_dir=run")
    for _ in range(12):
        process = start(tmp_path, *command)
        checkpoints = tmp_path / "run" / "checkpoints"
        wait_for(lambda: (tmp_path / "run" / "tensorboard").exists() and any(checkpoints.glob("last*.pt")), process)  # noqa: B023
        time.sleep(generator.uniform(0, 0.6))
        process.kill()
        process.wait()
        for path in checkpoints.glob("*.pt"):
            torch.load(path)
        command = ("resume=run",)
    assert launch("resume=run").code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")


def damage(path: Path, length: int) -> None:
    """Cut a file short, without touching others that are the same by a hard link: as one that was never written whole."""
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:length])


def test_a_newest_checkpoint_that_is_damaged_is_passed_over(launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, *RUNS["cutmix"], "output_dir=whole").code == 0
    size = (tmp_path / "whole" / "checkpoints" / "last.pt").stat().st_size
    for index, length in enumerate([0, 1, size // 2, size - 1]):
        run = f"run-{index}"
        shutil.copytree(tmp_path / "whole", tmp_path / run)
        damage(tmp_path / run / "checkpoints" / "last.pt", length)
        code, out, err = launch(f"resume={run}")
        assert code == 0, err
        (warning,) = [line for line in out.splitlines() if line.startswith("warning: ")]
        assert f"{run}/checkpoints/last.pt cannot be read" in warning
        assert f"going on from {run}/checkpoints/last-1.pt" in warning
        assert "going on after epoch 2" in out
        assert_same(tmp_path / run, tmp_path / "whole")
        assert read_result(tmp_path / run)["selected_by"] == read_result(tmp_path / "whole")["selected_by"]


def test_what_an_older_checkpoint_does_not_know_is_forgotten(launch: Launch, tmp_path: Path) -> None:
    """best.pt may be of the epoch that is no longer there, and the run may end before it is done again."""
    options = (*STEPS, "scheduler=constant")
    assert launch(*options, "output_dir=run").code == 0
    assert launch(*options, "epochs=2", "output_dir=whole").code == 0
    damage(tmp_path / "run" / "checkpoints" / "last.pt", 1000)
    assert launch("resume=run", "epochs=2").code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")
    results = [read_result(tmp_path / name) for name in ("run", "whole")]
    assert [result["epochs"] for result in results] == [2, 2]
    assert results[0]["selected_by"] == results[1]["selected_by"]


def test_where_none_can_be_read_nothing_is_changed(launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, "output_dir=run").code == 0
    for path in (tmp_path / "run" / "checkpoints").glob("last*.pt"):
        damage(path, 1000)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert "none of its checkpoints can be read (last.pt, last-1.pt)" in refused(launch, tmp_path, "resume=run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_as_many_are_kept_as_is_asked_for(launch: Launch, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert launch(*STEPS, "keep_checkpoints=3", "output_dir=run").code == 0
    epochs = [
        torch.load(run / "checkpoints" / name)["train_state"]["epoch"] for name in ("last.pt", "last-1.pt", "last-2.pt")
    ]
    assert epochs == [3, 2, 1]
    assert launch("resume=run", "epochs=4", "keep_checkpoints=1").code == 0
    assert [path.name for path in (run / "checkpoints").glob("last*.pt")] == ["last.pt"]


def test_another_number_of_gpus_is_said(launch: Launch, tmp_path: Path) -> None:
    assert launch(*STEPS, "max_steps=2", "output_dir=run").code == 0
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    content = torch.load(last)
    content["rng"]["cuda"] = [content["rng"]["cpu"]] * 5
    checkpoint.save(last, content)
    code, out, _ = launch("resume=run", "max_steps=null")
    assert code == 0
    (warning,) = [line for line in out.splitlines() if line.startswith("warning: ")]
    assert "GPUs: 5 when this run was saved, 0 now" in warning


@pytest.mark.slow  # by default: one that this process makes, above, and real ones in test_stops.py
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, REQUEUE)])
def test_a_real_signal_is_noticed_after_the_step_at_work(
    number: signal.Signals, code: int, launch: Launch, tmp_path: Path
) -> None:
    options = (*TINY, "hardware.threads=1", "limit_train=400", "batch_size=4", "epochs=2")
    process = start(tmp_path, *options, "output_dir=run")
    wait_for(lambda: (tmp_path / "run" / "tensorboard").exists(), process)
    time.sleep(random.Random(0).uniform(0.2, 0.6))
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code, out
    assert "Traceback" not in out
    assert launch("resume=run").code == 0
    assert launch(*options, "output_dir=whole").code == 0
    assert_same(tmp_path / "run", tmp_path / "whole")
