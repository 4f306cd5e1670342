"""A task done by several processes of this machine, started here (`hardware.processes`). This one watches, and is none of them.

Each process is told what to do, and says how it ended, through a pipe of its own. One that fails or is killed ends the others;
when this one is killed, the kernel ends them.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from multiprocessing.connection import Pipe, wait
from typing import Any, NamedTuple

from gacsnn.config.schema import Config
from gacsnn.errors import MachineError
from gacsnn.runtime import console, signals
from gacsnn.runtime.cores import SHARED, share
from gacsnn.runtime.ranks import MEETING
from gacsnn.runtime.run_dir import OnEpochEnd, Result

# Seconds that the others get, when one has failed, to notice it by themselves and say how they ended.
NOTICE = 5.0

# Seconds that they get to save and end, when this one is asked to stop.
SAVING = 60.0


class Order(NamedTuple):
    """What a process is to do."""

    config: Config
    overridden: Collection[str] | None
    label: str
    reports: bool  # whether somebody wants to hear of each epoch


class Ended(NamedTuple):
    """How a process ended: with a result, or by what it raised."""

    result: Result | None
    error: BaseException | None


class Member:
    """One of the processes, as seen from here."""

    def __init__(self, index: int, count: int, folder: str) -> None:
        self.index = index
        self.ended: Ended | None = None
        self.pipe, theirs = Pipe()
        cores = share(sorted(os.sched_getaffinity(0)), index, count)
        names = {"RANK": index, "WORLD_SIZE": count, "LOCAL_RANK": index, "LOCAL_WORLD_SIZE": count, SHARED: 1}
        environment = {**os.environ, **{name: str(value) for name, value in names.items()}, MEETING: folder}
        # A session of its own, so that Ctrl-C reaches it once, from here.
        with signals.held_back():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gacsnn.member", str(theirs.fileno()), str(os.getpid())],
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        theirs.close()
        with suppress(ProcessLookupError):
            os.sched_setaffinity(self.process.pid, cores)

    def receive(self) -> Mapping[str, Any] | None:
        """What it says: an epoch's metrics, or nothing more, because it has ended."""
        try:
            said = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            said = Ended(None, self.killed())
        if isinstance(said, Ended):
            self.ended = said
            return None
        return said

    def killed(self) -> MachineError:
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return MachineError(f"process {self.index} {how}")

    def send(self, message: object) -> None:
        with suppress(OSError):  # it has ended
            self.pipe.send(message)


def spawn(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None) -> Result:
    """Do a task by `config.hardware.processes` processes. Returns and raises what a single one does.

    Raises:
        MachineError: when one of them is killed.
    """
    count = config.hardware.processes
    assert isinstance(count, int)
    with tempfile.TemporaryDirectory(prefix="gacsnn-") as folder:
        members: list[Member] = []
        try:
            members.extend(Member(index, count, folder) for index in range(count))
            for member in members:
                member.send(Order(config, overridden, console.label, on_epoch_end is not None))
            watch(members, on_epoch_end)
        except (KeyboardInterrupt, SystemExit):
            ask_to_stop(members, signals.requested() or signal.SIGTERM)
            raise
        finally:
            end(members)
        return outcome(members)


def watch(members: list[Member], on_epoch_end: OnEpochEnd | None) -> None:
    """Until all have ended, or one has failed and the others had time to say so."""
    deadline = None
    while at_work := [member for member in members if member.ended is None]:
        signals.stop_if_requested()  # also when the run is another's now: its lease is held here, and not by the members
        if deadline is not None and time.monotonic() > deadline:
            return
        for pipe in wait([member.pipe for member in at_work], 1.0):
            member = next(member for member in at_work if member.pipe is pipe)
            line = member.receive()
            if line is not None:
                member.send(answer(line, on_epoch_end))
            elif member.ended is not None and member.ended.error is not None and deadline is None:
                deadline = time.monotonic() + NOTICE


def answer(line: Mapping[str, Any], on_epoch_end: OnEpochEnd | None) -> Exception | None:
    """What the run's owner has to say about an epoch: go on (None), or the exception that ends the run."""
    try:
        assert on_epoch_end is not None
        on_epoch_end(line)
    except Exception as error:
        return error
    return None


def outcome(members: list[Member]) -> Result:
    """The first one's result, or the error that explains the others."""
    errors = [member.ended.error for member in members if member.ended and member.ended.error]
    if errors:
        raise min(errors, key=lambda error: getattr(error, "follows", False))
    assert members[0].ended is not None
    assert members[0].ended.result is not None
    return members[0].ended.result


def ask_to_stop(members: list[Member], number: int) -> None:
    """Pass a signal on, and wait until all have saved and ended; one more signal, and they are ended at once."""
    for member in members:
        with suppress(ProcessLookupError):
            member.process.send_signal(number)
        member.send(
            None
        )  # to who waits for an answer to an epoch, and hears of no signal before; others do not read it
    deadline = time.monotonic() + SAVING
    for member in members:
        with suppress(subprocess.TimeoutExpired):
            member.process.wait(timeout=max(0.0, deadline - time.monotonic()))


def end(members: list[Member]) -> None:
    """Leave none behind."""
    for member in members:
        if member.ended is None or member.ended.error is not None:
            member.process.kill()
    for member in members:
        member.process.wait()
        member.pipe.close()
