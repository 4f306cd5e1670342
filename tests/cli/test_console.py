"""What a pipe and a terminal get to see of a run."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

from program import ROOT, TINY, start


def test_a_pipe_gets_lines_without_control_characters(tmp_path: Path) -> None:
    process = start(tmp_path, *TINY, "epochs=2", "output_dir=run")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.findall(r"[^\n\x20-\x7e]", said) == []
    assert len([line for line in said.splitlines() if line.startswith("epoch")]) == 2


def test_a_terminal_gets_a_bar_with_loss_accuracy_rate_and_time_left(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    options = (*TINY, "limit_train=1000", "batch_size=8", "output_dir=run")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), *options], cwd=tmp_path, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # which Linux raises when the other end is closed
        while block := os.read(leader, 65536):
            shown += block
    os.close(leader)
    assert process.wait() == 0
    assert re.search(r"epoch 1/1: +\d+%.*\d+/1000 \[\d+:\d+<\d+:\d+,.*img.*loss=.*top1=", shown.decode())
