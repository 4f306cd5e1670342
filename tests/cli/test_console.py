"""What a pipe and a terminal get to see of a run."""

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from threading import Thread

from program import TINY, Launch


@contextmanager
def terminal(shown: list[bytes], columns: int = 120) -> Iterator[None]:
    """While the context lasts this process speaks to a terminal of so many columns, which shows all that comes."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read() -> None:
        with suppress(OSError):  # which Linux raises when the other end is closed
            while block := os.read(leader, 65536):
                shown.append(block)

    reader = Thread(target=read)
    reader.start()
    with os.fdopen(follower, "w") as stream, redirect_stdout(stream), redirect_stderr(stream):
        yield
    reader.join()
    os.close(leader)


def test_a_pipe_gets_lines_without_control_characters(launch: Launch) -> None:
    """Here it is pytest that listens, which is no terminal either."""
    code, out, err = launch(*TINY, "epochs=2", "output_dir=run")
    said = out + err
    assert code == 0
    assert re.findall(r"[^\n\x20-\x7e]", said) == []
    assert len([line for line in said.splitlines() if line.startswith("epoch")]) == 2


def test_a_terminal_gets_a_bar_with_loss_accuracy_rate_and_time_left(launch: Launch) -> None:
    blocks: list[bytes] = []
    with terminal(blocks):
        code = launch(*TINY, "limit_train=240", "batch_size=8", "output_dir=run").code
    shown = b"".join(blocks).decode()
    assert code == 0, shown
    assert re.search(r"epoch 1/1: +\d+%.*\d+/240 \[\d+:\d+<\d+:\d+,.*img.*loss=.*top1=", shown)
