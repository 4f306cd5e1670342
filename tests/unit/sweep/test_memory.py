"""What is tried with a trial that a GPU had too little memory for, and who waits for whom."""

import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from gacsnn.sweep.claims import claim, finish_early, reap_dead
from gacsnn.sweep.jobs import overrides_of
from gacsnn.sweep.memory import OUT_OF_MEMORY, give_back, in_parts, next_remedy, room, tried
from gacsnn.sweep.storage import open_study


def test_each_remedy_has_its_turn() -> None:
    assert next_remedy({}) == "alone"
    assert next_remedy({"remedy": "alone"}) == "parts"
    assert next_remedy({"remedy": "parts"}) is None
    assert (tried({}), tried({"remedy": "alone"})) == ("", "; tried as it was, alone")


@pytest.mark.parametrize(("before", "after"), [(1, 4), (3, 6), (20, 32), ("auto", 16)])
def test_a_batch_is_cut_into_more_parts(before: int | str, after: int) -> None:
    assert in_parts(before, 32) == f"hardware.accumulate={after}"


@pytest.mark.parametrize("graphs", [True, "auto"])
def test_graphs_that_were_asked_for_give_way_to_parts(graphs: bool | str) -> None:
    hardware = SimpleNamespace(accumulate=1, cuda_graphs=graphs)
    search = SimpleNamespace(overrides=lambda _params: ["T=4"])
    sweep: Any = SimpleNamespace(
        search=search, compose=lambda _overrides: SimpleNamespace(hardware=hardware, batch_size=32)
    )
    trial = optuna.trial.create_trial(value=0.0, user_attrs={"remedy": "parts"})
    more = ["hardware.cuda_graphs=auto"] if graphs is True else []
    assert overrides_of(sweep, trial) == ["T=4", "hardware.accumulate=4", *more]


def test_a_retry_that_is_killed_keeps_its_remedy() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})

    def take() -> optuna.Trial:
        trial = claim(study, 1, 2, 60.0, lambda index: optuna.samplers.RandomSampler(seed=index))
        assert trial is not None
        trial.suggest_float("x", 0, 1)
        return trial

    finish_early(study, take(), "too small", OUT_OF_MEMORY)
    finish_early(study, take(), "killed", "died")
    reap_dead(study, 1, 2)
    reap_dead(study, 1, 2)
    last = take()
    assert [(t.user_attrs.get("retry_of"), t.user_attrs.get("remedy")) for t in study.trials] == [
        (None, None), (0, "alone"), (1, "alone"),
    ]  # fmt: skip
    assert last.number == 2


class Trial(threading.Thread):
    """One that asks for room, and says so in `begun` when it has it, until it is told to end."""

    def __init__(self, folder: Path, alone: bool) -> None:
        super().__init__(daemon=True)
        self.folder, self.alone = folder, alone
        self.begun, self.over = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with room(self.folder, self.alone):
            self.begun.set()
            self.over.wait()

    def end(self) -> None:
        self.over.set()
        self.join(20)
        assert not self.is_alive()


@pytest.fixture
def trial(tmp_path: Path) -> Callable[[bool], Trial]:
    return lambda alone: Trial(tmp_path, alone)


def test_who_is_to_be_alone_waits_for_those_at_work_and_no_other_begins(trial: Callable[[bool], Trial]) -> None:
    first, second = trial(False), trial(False)
    assert first.begun.wait(20)
    assert second.begun.wait(20), "others share"
    alone = trial(True)
    assert not alone.begun.wait(0.5)
    later = trial(False)
    first.end()
    assert not alone.begun.wait(0.5), "one is still at work"
    assert not later.begun.is_set(), "it would keep the GPU full for ever"
    second.end()
    assert alone.begun.wait(20)
    assert not later.begun.wait(0.5)
    another = trial(True)
    alone.end()
    for waiting in (later, another):  # whichever of them is first
        waiting.over.set()
    for waiting in (later, another):
        waiting.end()
        assert waiting.begun.is_set()


def test_another_sweep_and_another_gpu_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: Callable[[bool], Trial]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    alone = trial(True)
    assert alone.begun.wait(20)
    other_sweep = Trial(tmp_path / "other", True)
    assert other_sweep.begun.wait(20)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    other_gpu = trial(True)
    assert other_gpu.begun.wait(20)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    shares = trial(False)
    assert not shares.begun.wait(0.5)
    for one in (other_sweep, other_gpu, alone):
        one.end()
    assert shares.begun.wait(20)
    shares.end()


def test_a_process_that_is_killed_leaves_its_room(tmp_path: Path, trial: Callable[[bool], Trial]) -> None:
    code = (
        "import sys, time, pathlib; from gacsnn.sweep.memory import room\n"
        "with room(pathlib.Path(sys.argv[1]), True): print('in', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    waiting = trial(False)
    assert not waiting.begun.wait(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert waiting.begun.wait(20)
    waiting.end()


def test_the_tensors_of_a_run_that_failed_are_given_back() -> None:
    kept: list[weakref.ref[Any]] = []

    def fail() -> None:
        storage = torch.zeros(10).untyped_storage()
        kept.append(weakref.ref(storage))
        raise RuntimeError(f"{storage.nbytes()} bytes too many")

    with pytest.raises(RuntimeError) as raised:
        fail()
    assert kept[0]() is not None, "by the traceback"
    give_back([raised.value])
    assert kept[0]() is None
