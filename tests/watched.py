"""Real commands that are watched: all that they start, how they end, and what they show on a terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from contextlib import suppress
from pathlib import Path

from program import ROOT

# In the environment of a command and of all that it starts: how they are found again, whatever became of them.
MARK = "GACSNN_FAULTS"

# Seconds in which a command ends that was killed or asked to, and with it all that it started.
PATIENCE = 90.0

BAR = re.compile(r"(epoch \d+/\d+|validating|testing): ")


def new_mark(name: str = MARK) -> str:
    return f"{name}={uuid.uuid4().hex}"


def state(pid: int) -> str:
    """The letter that Linux gives it; X: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def marked(mark: str) -> list[int]:
    """The living processes with a mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in path.read_bytes() and state(int(path.parent.name)) not in "ZX":
                found.append(int(path.parent.name))
    return found


def wait_until_none(mark: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := marked(mark):
        if time.monotonic() > deadline:
            said = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in left]
            kill(left)
            raise AssertionError(f"left behind: {said}")
        time.sleep(0.05)


def kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def forks(pid: int) -> list[int]:
    """The children that are copies of their parent: loaders, and no other program."""

    def command(pid: int) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    return [child for child in children(pid) if command(child) == command(pid) != b""]


def has_begun(pid: int) -> bool:
    """Whether Python has come to the first line of launch.py, which holds signals back until they have handlers."""
    with suppress(OSError):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        held = int(fields.get("SigCgt", "0"), 16) | int(fields.get("SigBlk", "0"), 16)
        return bool(held >> (signal.SIGTERM - 1) & 1)
    return False


def finished(process: "subprocess.Popen[str]", mark: str, seconds: float = PATIENCE) -> str:
    """What a command said that has ended, or ends now by itself; with it all that it started."""
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill([process.pid, *marked(mark)])
        said, _ = process.communicate()
        raise AssertionError(f"it did not end within {seconds:.0f} s: {said}") from None
    wait_until_none(mark)
    return said


class OnTerminal:
    """A command on a terminal, where a run shows by its bars what it does."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = new_mark()
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        os.set_blocking(self.leader, False)
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "launch.py"), *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, start_new_session=True,
            env={**os.environ, name: value},
        )  # fmt: skip
        os.close(follower)
        self.said = ""

    def look(self) -> str:
        """All that it has said so far."""
        with suppress(OSError):  # nothing new, or nobody there any more
            while block := os.read(self.leader, 65536):
                self.said += block.decode(errors="replace")
        return self.said

    def bar(self) -> tuple[str, bool]:
        """The bar shown last (epoch, validating, testing; none yet: nothing), and whether it still stands."""
        said = self.look()
        found = list(BAR.finditer(said))
        if not found:
            return "", False
        return found[-1][1].split()[0], not re.search(r"\r +\r", said[found[-1].end() :])

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code, once it and all that it started have ended."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self.look()
            if time.monotonic() > deadline:
                kill([self.process.pid, *marked(self.mark)])
                raise AssertionError(f"it did not end within {seconds:.0f} s: {self.said}")
            time.sleep(0.01)
        wait_until_none(self.mark)
        self.look()
        os.close(self.leader)
        return self.process.returncode
