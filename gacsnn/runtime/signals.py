"""Signals: the one place that sets handlers for Ctrl-C and SIGTERM."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class StopRequested(SystemExit):
    """Ctrl-C or SIGTERM, noticed where everything is in order: between two steps. The exit code is 128 + the signal's."""


@dataclass
class Requests:
    """What the signals have asked for: `patient` says that somebody will look, `number` which signal came."""

    patient: bool = False
    number: int | None = None


_requests = Requests()


def handle_signals() -> None:
    """End on Ctrl-C and SIGTERM with what is open closed on the way; exit code 130 or 143.

    While somebody looks (`stop_between_steps`) the first signal only asks; the second ends at once.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def on_signal(number: int, _frame: FrameType | None) -> None:
    if _requests.patient and _requests.number is None:
        _requests.number = number
        return
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


@contextmanager
def stop_between_steps() -> Iterator[None]:
    """While the context lasts, signals are noticed by `stop_if_requested` alone."""
    _requests.patient, _requests.number = True, None
    try:
        yield
    finally:
        asked, _requests.patient, _requests.number = _requests.number, False, None
    if asked is not None:  # it came after the last look
        raise StopRequested(128 + asked)


def stop_if_requested() -> None:
    """Raises StopRequested when a signal came."""
    if _requests.number is not None:
        number, _requests.number = _requests.number, None
        raise StopRequested(128 + number)


def leave_signals_to_parent(_worker: int) -> None:
    """For a loader's worker process: its parent hears Ctrl-C too, and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends, however that is."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it ended before
        sys.exit(128 + signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM to the end of the block: torch.save, interrupted, raises an error of its own instead."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[tuple[int, FrameType | None]] = []
    before = {
        number: signal.signal(number, lambda number, frame: pressed.append((number, frame)))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if pressed:
            number, frame = pressed[0]
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler == signal.SIG_DFL:
                signal.raise_signal(number)
