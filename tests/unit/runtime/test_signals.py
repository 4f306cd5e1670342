"""Signals that ask, and signals that end at once."""

import signal
import subprocess
import sys
import weakref

import pytest

from gacsnn.runtime import signals
from gacsnn.runtime.signals import StopRequested, on_signal, stop_between_steps, stop_if_requested


@pytest.fixture(autouse=True)
def by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in signals.PASSED_ON:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, signals.REQUEUE)],
)
def test_between_steps_the_first_signal_only_asks(number: signal.Signals, code: int) -> None:
    def steps() -> None:
        with stop_between_steps():
            on_signal(number, None)
            stop_if_requested()

    with pytest.raises(StopRequested) as stopped:
        steps()
    assert stopped.value.code == code


def test_the_second_ends_at_once() -> None:
    with stop_between_steps():
        on_signal(signal.SIGTERM, None)
        with pytest.raises(SystemExit) as stopped:
            on_signal(signal.SIGINT, None)
        signals._requests.number = None
    assert stopped.value.code == 130


def test_a_warning_that_comes_twice_only_asks() -> None:
    """SLURM sends it to the job's script and to its steps, and scripts pass it on."""

    def steps(first: signal.Signals) -> None:
        signals._requests.number = None
        with stop_between_steps():
            on_signal(first, None)
            on_signal(signal.SIGUSR1, None)

    for first, code in ((signal.SIGUSR1, 99), (signal.SIGTERM, 143)):
        with pytest.raises(StopRequested) as stopped:
            steps(first)
        assert stopped.value.code == code


@pytest.mark.parametrize("launched", signals.PASSED_ON)
def test_under_a_launcher_the_echo_of_the_first_only_asks_and_a_later_one_ends_at_once(
    launched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SLURM signals torchrun and its processes, and torchrun then signals them."""
    monkeypatch.setenv(launched, "2")

    def steps() -> None:
        with stop_between_steps():
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
                on_signal(number, None)
            stop_if_requested()

    with pytest.raises(StopRequested) as stopped:
        steps()
    assert stopped.value.code == 143
    on_signal(signal.SIGTERM, None)  # on the way out, too
    signals._requests.since -= signals.ECHO
    with stop_between_steps():
        with pytest.raises(SystemExit) as ended:
            on_signal(signal.SIGINT, None)
        assert ended.value.code == 130
        signals._requests.number = None


def test_one_after_the_last_look_is_noticed_at_the_end() -> None:
    with pytest.raises(StopRequested), stop_between_steps():
        on_signal(signal.SIGTERM, None)


def test_elsewhere_a_signal_ends_at_once() -> None:
    with pytest.raises(SystemExit) as stopped:
        on_signal(signal.SIGTERM, None)
    assert stopped.value.code == 143


def test_ctrl_c_is_one_and_what_follows_while_that_unwinds_shows_nothing() -> None:
    with pytest.raises(KeyboardInterrupt):
        on_signal(signal.SIGINT, None)
    with pytest.raises(SystemExit):
        on_signal(signal.SIGINT, None)


class Thing:
    """Something that can be referred to weakly."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_is_raised_where_python_ignores_it_is_found_by_the_next_look() -> None:
    """As where loader processes start: what a weak reference's callback raises is printed, and lost."""
    thing = Thing()
    _reference = weakref.ref(thing, lambda _: on_signal(signal.SIGTERM, None))
    del thing
    with pytest.raises(StopRequested), stop_between_steps():
        stop_if_requested()


def test_what_is_lost_there_is_not_shown_and_other_errors_are(capfd: pytest.CaptureFixture[str]) -> None:
    code = """
import signal, weakref
from gacsnn.runtime.signals import handle_signals

class Thing: pass

def lose(error):
    def callback(_): raise error
    reference = weakref.ref(thing := Thing(), callback)
    del thing

handle_signals()
lose(SystemExit("before any signal"))
try:
    signal.raise_signal(signal.SIGTERM)
except SystemExit as stopped:
    lose(stopped)
lose(ValueError("of its own"))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    said = capfd.readouterr().err
    assert said.count("Exception ignored") == 2
    assert "before any signal" in said
    assert "of its own" in said
