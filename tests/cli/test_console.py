"""What a pipe and a terminal get to see of a run."""

import re
from pathlib import Path

from program import TINY, on_a_terminal, start


def test_a_pipe_gets_lines_without_control_characters(tmp_path: Path) -> None:
    process = start(tmp_path, *TINY, "epochs=2", "output_dir=run")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.findall(r"[^\n\x20-\x7e]", said) == []
    assert len([line for line in said.splitlines() if line.startswith("epoch")]) == 2


def test_a_terminal_gets_a_bar_with_loss_accuracy_rate_and_time_left(tmp_path: Path) -> None:
    shown = on_a_terminal(tmp_path, *TINY, "limit_train=1000", "batch_size=8", "output_dir=run")
    assert re.search(r"epoch 1/1: +\d+%.*\d+/1000 \[\d+:\d+<\d+:\d+,.*img.*loss=.*top1=", shown)
