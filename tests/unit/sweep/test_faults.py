"""Pauses while the machine fails."""

import errno
import signal
from itertools import pairwise

import pytest

from gacsnn.errors import DivergenceError, UnavailableError, machine_error
from gacsnn.runtime import signals
from gacsnn.runtime.signals import StopRequested
from gacsnn.sweep import faults
from gacsnn.sweep.faults import MachineFault


class Clock:
    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(faults, "time", made)
    return made


FULL = OSError(errno.ENOSPC, "No space left on device", "run/last.pt")


def test_pauses_grow_while_a_fault_lasts_and_end_with_the_patience(clock: Clock) -> None:
    fault, ends = MachineFault(10.0), [0.0]
    for _ in range(4):
        fault.note(machine_error(FULL, "run", "epoch 1 is saved"))
        fault.pause()
        ends.append(clock.now)
    assert [round(end - begun) for begun, end in pairwise(ends)] == [1, 2, 4, 3]
    fault.note(machine_error(FULL, "run", "epoch 1 is saved"))
    with pytest.raises(
        UnavailableError, match=r"No space left on device; .*; it lasts for 10.0 s; the same command goes on"
    ):
        fault.pause()


def test_a_trial_that_meets_no_fault_ends_it(clock: Clock) -> None:
    fault = MachineFault(10.0)
    for error in (machine_error(FULL, "run", "kept"), DivergenceError("the loss became nan"), None, 96.3):
        fault.note(error)
        begun = clock.now
        fault.pause()
        assert (clock.now > begun) == isinstance(error, UnavailableError)
    assert fault.since is None


def test_a_signal_ends_a_pause_at_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = MachineFault(10.0)
    fault.note(machine_error(FULL, "run", "kept"))
    monkeypatch.setattr(signals._requests, "number", signal.SIGTERM)
    with pytest.raises(StopRequested):
        fault.pause()
    assert clock.now == 0.0


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EIO", "EROFS", "ENOMEM", "ESTALE"])
def test_a_file_error_of_the_machine_passes_and_others_do_not(name: str) -> None:
    assert isinstance(machine_error(OSError(getattr(errno, name), "why"), "run", "kept"), UnavailableError)
    assert not isinstance(machine_error(OSError(errno.ENOENT, "why"), "run", "kept"), UnavailableError)


def test_fault_after_a_finished_epoch_is_a_new_one_with_the_whole_patience(clock: Clock) -> None:
    fault = MachineFault(10.0)
    fault.note(machine_error(FULL, "run", "kept"))
    fault.pause()
    clock.now += 4 * 3600
    fault.note(machine_error(FULL, "run", "kept"), got_on=True)
    begun = clock.now
    fault.pause()
    assert clock.now - begun == pytest.approx(1.0, abs=0.1)
