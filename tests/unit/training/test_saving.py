"""Checkpoints written in the background: as they were when they were saved, one after another, and no error lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gacsnn.errors import InputError
from gacsnn.runtime import files
from gacsnn.runtime.files import kept
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.training import checkpoint
from gacsnn.training.saving import Saver, copied, find_best, go_back
from gacsnn.training.trainer import TrainState


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDirectory:
    (tmp_path / "checkpoints").mkdir()
    return RunDirectory(tmp_path)


def content(epoch: int, batch: int = 0, best: int | None = None) -> dict[str, Any]:
    state = TrainState(epoch=epoch, batch=batch, best_epoch=best)
    weights = {"weight": torch.full((3,), float(epoch))}
    return {"model": weights, "train_state": asdict(state), "config": {}, "classes": []}


def epochs(paths: list[Path]) -> list[int]:
    return [checkpoint.read(path)["train_state"]["epoch"] for path in paths]


def test_what_is_saved_is_what_was_there_then(run_dir: RunDirectory) -> None:
    """Serialised only after the weights have changed, because the writer is held up by the save before."""
    model = nn.Linear(300, 300)
    optimizer = torch.optim.AdamW(model.parameters())
    gate = threading.Event()
    with Saver(run_dir, keep=1) as saver:
        saver.writer.submit(gate.wait)
        model(torch.ones(300)).sum().backward()
        optimizer.step()
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
        saver.save({**content(1), "model": model.state_dict(), "optimizer": optimizer.state_dict()})
        model(torch.ones(300)).sum().backward()
        optimizer.step()
        gate.set()
    back = checkpoint.read(run_dir.last)
    assert all(torch.equal(back["model"][name], weight) for name, weight in before.items())
    saved = [state["exp_avg"] for state in back["optimizer"]["state"].values()]
    assert all(torch.equal(one, other) for one, other in zip(saved, moments, strict=True))
    assert not torch.equal(model.weight, before["weight"])


def test_a_copy_keeps_kind_order_and_memory_format() -> None:
    state = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last).state_dict()
    made = copied({"model": state, "list": [torch.ones(2)], "text": "ä"})
    assert type(made["model"]) is type(state)
    assert made["model"]._metadata == state._metadata  # type: ignore[attr-defined]
    assert made["model"]["weight"].is_contiguous(memory_format=torch.channels_last)
    assert made["model"]["weight"].data_ptr() != state["weight"].data_ptr()
    assert made["text"] == "ä"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_last_k_are_kept(run_dir: RunDirectory, count: int) -> None:
    with Saver(run_dir, keep=count) as saver:
        for epoch in range(1, 7):
            saver.save(content(epoch))
    assert epochs(run_dir.saved()) == list(range(6, 6 - count, -1))
    with Saver(run_dir, keep=1) as saver:
        saver.save(content(7))
    assert sorted(path.name for path in run_dir.checkpoints.iterdir()) == ["last.pt"]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_for_every_checkpoint_that_is_kept_so_is_the_best_one_it_knows(
    run_dir: RunDirectory, count: int, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:  # as on a file system that has none

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    best = None
    with Saver(run_dir, keep=count) as saver:
        for epoch in range(1, 12):
            if better := epoch in (1, 2, 3, 6, 10, 11):
                best = epoch
            saver.save(content(epoch, best=best), better)
            saver.wait()
            for path in run_dir.saved():
                state = TrainState(**checkpoint.read(path)["train_state"])
                found = find_best(run_dir, state)
                assert found is not None, (epoch, path)
                assert epochs([found]) == [state.best_epoch]
        for epoch in range(12, 16):
            saver.save(content(epoch, best=best))
    assert epochs([run_dir.best]) == [11]
    assert kept(run_dir.best) == [run_dir.best], "older ones are of no use by now"


def test_an_older_checkpoint_gets_its_own_best_back(run_dir: RunDirectory) -> None:
    with Saver(run_dir, keep=2) as saver:
        saver.save(content(1, best=1), best=True)
        saver.save(content(2, best=1))
        saver.save(content(3, best=3), best=True)
    run_dir.last.write_bytes(run_dir.last.read_bytes()[:100])  # best.pt is the same file
    path, found = checkpoint.newest(run_dir.saved(), "resume=x")
    state = TrainState(**found["train_state"])
    assert (path.name, state.epoch) == ("last-1.pt", 2)
    go_back(run_dir, path, find_best(run_dir, state), state)
    assert epochs([run_dir.last, run_dir.best]) == [2, 1]
    with Saver(run_dir, keep=2) as saver:
        saver.save(content(3, best=3), best=True)
    assert epochs(run_dir.saved()) == [3, 2]


def test_where_no_best_is_left_later_epochs_make_one(run_dir: RunDirectory) -> None:
    with Saver(run_dir, keep=1) as saver:
        saver.save(content(1, best=1), best=True)
        saver.save(content(2, best=1))
    run_dir.best.write_bytes(b"")
    state = TrainState(epoch=2, best_epoch=1, best_top1=90.0, best_loss=0.1)
    go_back(run_dir, run_dir.last, find_best(run_dir, state), state)
    assert (state.best_epoch, state.best_top1, state.best_loss) == (None, None, None)
    assert not run_dir.best.exists()


def test_weights_from_within_an_epoch_are_not_those_of_the_epoch_before(run_dir: RunDirectory) -> None:
    with Saver(run_dir, keep=1) as saver:
        saver.save(content(1, batch=3, best=1))
    assert find_best(run_dir, TrainState(epoch=1, batch=3, best_epoch=1)) is None
    with Saver(run_dir, keep=2) as saver:
        saver.save(content(1, best=1), best=True)
        saver.save(content(1, batch=3, best=1))
    found = find_best(run_dir, TrainState(epoch=1, batch=3, best_epoch=1))
    assert found is not None
    assert checkpoint.read(found)["train_state"]["batch"] == 0


def test_a_kill_between_putting_aside_and_replacing_loses_none(
    run_dir: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Saver(run_dir, keep=3) as saver:
        for epoch in (1, 2, 3):
            saver.save(content(epoch))
    files.shift(run_dir.last)  # and then it was killed
    assert epochs(run_dir.saved()) == [3, 3, 2, 1]
    with Saver(run_dir, keep=3) as saver:
        saver.save(content(4))
    assert epochs(run_dir.saved()) == [4, 3, 2]


def test_an_error_of_the_writing_is_heard_at_the_next_look_save_or_end(run_dir: RunDirectory, tmp_path: Path) -> None:
    shutil.rmtree(run_dir.checkpoints)

    def look(saver: Saver) -> None:
        saver.writing.exception() if saver.writing else None
        saver.check()

    calls: list[Callable[[Saver], object]] = [look, lambda saver: saver.save(content(2)), Saver.close]
    for call in calls:
        saver = Saver(run_dir, keep=2)
        saver.save(content(1))
        with pytest.raises(FileNotFoundError):
            call(saver)
        saver.close()  # once is enough

    def stopped() -> None:
        with Saver(run_dir, keep=2) as saver:
            saver.save(content(1))
            raise SystemExit(143)

    with pytest.raises(FileNotFoundError):
        stopped()


def test_leaving_waits_for_the_file_whatever_signals_come(run_dir: RunDirectory) -> None:

    def leave() -> None:
        gate = threading.Event()
        with Saver(run_dir, keep=2) as saver:
            saver.writer.submit(gate.wait)
            saver.save(content(1))
            threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
            threading.Timer(0.4, gate.set).start()

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert epochs([run_dir.last]) == [1]


def test_an_interpreter_that_ends_finishes_the_file(run_dir: RunDirectory) -> None:
    """Also where nobody closed the saver: it would else be a thread that is cut off."""
    program = f"""
import torch
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.training.saving import Saver
from pathlib import Path
saver = Saver(RunDirectory(Path({str(run_dir.path)!r})), keep=2)
content = {{"model": {{"weight": torch.ones(5_000_000)}}, "train_state": {{"epoch": 1}}, "config": {{}}, "classes": []}}
saver.save(content)
raise SystemExit(3)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 3
    assert epochs([run_dir.last]) == [1]


def test_what_a_killed_process_left_in_part_is_removed(run_dir: RunDirectory) -> None:
    with Saver(run_dir, keep=2) as saver:
        saver.save(content(1), best=True)
    (run_dir.checkpoints / ".last.pt.123.tmp").write_bytes(b"part")
    state = TrainState(epoch=1)
    go_back(run_dir, run_dir.last, run_dir.best, state)
    assert sorted(path.name for path in run_dir.checkpoints.iterdir()) == ["best.pt", "last.pt"]


def test_a_flipped_bit_is_noticed(run_dir: RunDirectory) -> None:
    """torch itself reads such a file without a word."""
    with Saver(run_dir, keep=2) as saver:
        saver.save({**content(1), "model": {"weight": torch.zeros(10_000)}})
        saver.save({**content(2), "model": {"weight": torch.zeros(10_000)}})
    made = bytearray(run_dir.last.read_bytes())
    made[made.index(bytes(30_000)) + 10_000] = 64
    run_dir.last.write_bytes(made)
    assert torch.load(run_dir.last)["train_state"]["epoch"] == 2
    assert checkpoint.newest(run_dir.saved(), "resume=x")[0].name == "last-1.pt"


def test_any_flipped_bit_is_noticed(run_dir: RunDirectory) -> None:
    """Those in the headers of the archive, too, which its own checksums do not hold."""
    with Saver(run_dir, keep=1) as saver:
        saver.save({**content(1), "model": {"weight": torch.zeros(1000)}})
    whole = run_dir.last.read_bytes()
    assert checkpoint.read(run_dir.last)["train_state"]["epoch"] == 1
    generator = random.Random(0)
    for bit in generator.sample(range(8 * len(whole)), 150):
        made = bytearray(whole)
        made[bit // 8] ^= 1 << bit % 8
        run_dir.last.write_bytes(made)
        with pytest.raises(InputError):
            checkpoint.read_any(run_dir.last)


def test_one_of_another_version_is_not_passed_over(run_dir: RunDirectory) -> None:
    with Saver(run_dir, keep=2) as saver:
        saver.save(content(1))
        saver.save({**content(2), "config": {"schema": 1000}})
    with pytest.raises(checkpoint.InputError, match="schema 1000"):
        checkpoint.newest(run_dir.saved(), "resume=x")
