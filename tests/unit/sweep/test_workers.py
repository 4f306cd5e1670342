"""Workers: what they share, and what comes through of what they say."""

import io
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gacsnn.errors import InputError
from gacsnn.runtime.cores import share, visible_gpus
from gacsnn.sweep.workers import gpus_of_workers, supervise


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12))
def test_workers_share_the_cores(cores: int, count: int) -> None:
    numbers = list(range(10, 10 + cores))
    shares = [share(numbers, index, count) for index in range(count)]
    assert all(shares)
    if count <= cores:
        assert [core for one in shares for core in one] == numbers
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        assert {core for one in shares for core in one} == set(numbers)


def test_workers_are_given_the_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


class Slow(io.StringIO):
    """Somebody who reads slowly."""

    def write(self, text: str) -> int:
        time.sleep(0.001)
        return super().write(text)


def test_every_line_of_the_workers_is_passed_on_before_the_sweep_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Slow()
    monkeypatch.setattr(sys, "stdout", said)
    program = "import os; [print(os.environ['GACSNN_WORKER'].split('/')[0], number) for number in range(500)]"
    monkeypatch.setattr(sys, "argv", ["-c", program])
    supervise(2, 1, lambda: None)
    assert sorted(said.getvalue().splitlines()) == sorted(
        f"{index} {number}" for index in range(2) for number in range(500)
    )


WORKER = "import os, signal, sys; index = os.environ['GACSNN_WORKER'].split('/')[0]; "


def test_a_worker_that_fails_gives_the_sweep_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for failing in ("0", "1"):  # the others end well, before it or after it
        monkeypatch.setattr(sys, "argv", ["-c", f"{WORKER} sys.exit(2 * (index == '{failing}'))"])
        with pytest.raises(SystemExit) as stopped:
            supervise(2, 1, lambda: None)
        assert stopped.value.code == 2


def test_a_worker_that_is_killed_is_replaced_by_one_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stdout", said)
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    once = f"mark = {str(tmp_path)!r} + '/' + index; there = os.path.exists(mark); open(mark, 'w'); there or {kill};"
    monkeypatch.setattr(sys, "argv", ["-c", f"{WORKER} {once} print('replaced', index)"])
    supervise(2, 1, lambda: None)
    assert sorted(said.getvalue().splitlines()) == ["replaced 0", "replaced 1"]


@pytest.mark.parametrize(
    ("processes", "seen"),
    [(1, ["0: 3", "1: 5"]), (2, ["0: 3,5", "1: 7,9"]), ("gpus", ["0: 3,5", "1: 7,9"])],
)
def test_each_worker_sees_gpus_of_its_own(
    processes: int | str, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stdout", said)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7,9")
    monkeypatch.setattr(sys, "argv", ["-c", f"{WORKER} print(f'{{index}}:', os.environ['CUDA_VISIBLE_DEVICES'])"])
    supervise(2, processes, lambda: None)
    assert sorted(said.getvalue().splitlines()) == seen


def test_gpus_are_shared_by_single_processes_alone() -> None:
    assert gpus_of_workers(["3", "5"], 3, 1) == [["3"], ["5"], ["3"]]
    assert gpus_of_workers([], 2, 2) == [[], []]
    with pytest.raises(InputError, match="each process needs a GPU of its own, and there are 2 here"):
        gpus_of_workers(["3", "5"], 2, 2)
