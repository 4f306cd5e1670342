"""Signals: the one place that sets handlers."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType, ModuleType
from typing import Any

from gacsnn.errors import TakenOverError

# Ctrl-C, the end of a job or a service, a terminal that is closed, a cluster's warning that the job's time is nearly over.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

# "Run me again": the exit code after the warning. Grid Engine requeues a job that ends with 99 by itself, LSF does where the
# queue says REQUEUE_EXIT_VALUES=99, and a batch script of SLURM can test for it and call `scontrol requeue`.
REQUEUE = 99

# Seconds within which a second signal may be an echo of the first. SLURM, or a service that is stopped, sends one to all
# processes of a job, and torchrun or a batch script that hears it as well passes it on.
ECHO = 2.0

# What is in the environment where somebody may pass signals on: a rank of a launcher's (ours too), a job of SLURM's.
PASSED_ON = ("WORLD_SIZE", "SLURM_JOB_ID")


class StopRequested(SystemExit):
    """A signal, noticed where everything is in order: between two steps. The exit code is that of `exit_code`."""


@dataclass
class Requests:
    """What the signals have asked for.

    `patient` says that somebody will look, `number` which signal came first, `since` when, `put_off` that one waits for the
    end of an `uninterrupted` block. `taken_over` says who has the run now that is at work here.
    """

    patient: bool = False
    number: int | None = None
    since: float = 0.0
    put_off: bool = False
    taken_over: str | None = None


_requests = Requests()


def handle_signals() -> None:
    """End on Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 with what is open closed on the way; exit code 130, 143, 129, 99.

    While somebody looks (`stop_between_steps`) the first signal only asks; the second ends at once, unless it is an echo.
    Elsewhere it raises at once, and is remembered: what is raised inside a callback of Python's own is lost, and the next
    look finds it.
    Signals that waited for this (`held_back`) are heard now.
    """
    _requests.number = None
    sys.unraisablehook = without_signals
    for number in STOPPING:
        signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def end_at_once() -> None:
    """From here on a signal ends this process at once: Python is about to end, and would show what a handler raises."""
    for number in STOPPING:
        signal.signal(number, lambda number, _frame: os._exit(exit_code(number)))


def ignore() -> None:
    """At the very end of Python, which takes handlers away: a signal would kill what has its exit code already."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """While a process of this program is started: signals to it wait until it has its handlers (`handle_signals`)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def without_signals(unraisable: Any) -> None:
    """For `sys.unraisablehook`: what was lost because of a signal is found by the next look, and no error to be shown."""
    if _requests.number is None or not isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit):
        sys.__unraisablehook__(unraisable)


def exit_code(number: int) -> int:
    return REQUEUE if number == signal.SIGUSR1 else 128 + number


def on_signal(number: int, _frame: FrameType | None) -> None:
    first = _requests.number is None
    if first:
        _requests.number, _requests.since = number, time.monotonic()
    elif time.monotonic() - _requests.since < ECHO and any(name in os.environ for name in PASSED_ON):
        return
    # A warning that comes twice is still a warning: schedulers send it to a job's script and to its steps, which pass it on.
    if _requests.patient and (first or number == signal.SIGUSR1):
        return
    if first and number == signal.SIGINT:  # what follows while that unwinds is silent wherever it comes
        raise KeyboardInterrupt
    sys.exit(exit_code(number))


@contextmanager
def stop_between_steps() -> Iterator[None]:
    """While the context lasts, a signal is noticed by `stop_if_requested` alone."""
    _requests.patient = True
    try:
        yield
    finally:
        _requests.patient = False
    stop_if_requested()  # one that came after the last look


def requested() -> int:
    """The signal that came; 0: none.

    Raises:
        TakenOverError: when the run at work is another's now. After it nothing is saved.
    """
    if _requests.taken_over is not None:
        raise TakenOverError(_requests.taken_over)
    return _requests.number or 0


def stop_if_requested(number: int | None = None) -> None:
    """Raises StopRequested when a signal came, as `requested` does; `number`: that of a process that we work with."""
    if number := requested() if number is None else number:
        raise StopRequested(exit_code(number))


def set_taken_over(by: str | None) -> None:
    """End the run at work in this process at its next look, by any thread; None: there is nothing to end."""
    _requests.taken_over = by


def stop_requested() -> bool:
    """Whether a signal came that nobody has followed yet: for who waits where signals are put off."""
    return _requests.number is not None or _requests.put_off


def leave_signals_to_parent(_worker: int) -> None:
    """For a loader's worker process: its parent hears of every stop too, asks for what is left of the step, and ends it.

    One that a signal ends is an error to torch, raised in the parent wherever that is: also before it has saved.
    """
    end_with_parent(os.getppid(), at_once=True)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def end_with_parent(parent: int, *, at_once: bool = False) -> None:
    """Have the kernel end this process when its parent ends, however that is: by SIGTERM, or `at_once` by SIGKILL."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL if at_once else signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it ended before
        sys.exit(128 + signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off what stops to the end of the block: torch.save, interrupted, raises an error of its own instead."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[tuple[int, FrameType | None]] = []

    def put_off(number: int, frame: FrameType | None) -> None:
        pressed.append((number, frame))
        _requests.put_off = True

    before = {number: signal.signal(number, put_off) for number in STOPPING}
    try:
        yield
    finally:
        if pressed:
            _requests.put_off = False
        for number, handler in before.items():
            signal.signal(number, handler)
        if pressed:
            number, frame = pressed[0]
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler == signal.SIG_DFL:
                signal.raise_signal(number)


def imported(module: str) -> ModuleType:
    """Import what may bring torch. Signals wait: where a handler raises within torch's own import, C++ ends the process."""
    with uninterrupted():
        return import_module(module)
