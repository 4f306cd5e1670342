"""Workers: what they share, and what comes through of what they say."""

import io
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gacsnn.runtime.cores import share, visible_gpus
from gacsnn.sweep.workers import supervise


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


def test_a_worker_that_fails_gives_the_sweep_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["-c", "raise SystemExit(2)"])
    with pytest.raises(SystemExit) as stopped:
        supervise(2, 1, lambda: None)
    assert stopped.value.code == 2
