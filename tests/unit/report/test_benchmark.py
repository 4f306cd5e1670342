"""The table of task=benchmark."""

import json
from pathlib import Path
from typing import Any

import pytest

from gacsnn.report.benchmark import FILE, lines, show_growth, times


def row(path: str, seconds: list[float], **counted: Any) -> dict[str, Any]:
    names = ("saved_bytes_per_image", "moved_bytes_per_image", "peak_memory_bytes", "operations")
    return {
        "phase": "train", "path": path, "precision": "fp32", "images_per_second": 8 / sorted(seconds)[1],
        "seconds": sorted(seconds)[1], "round_seconds": seconds, **dict.fromkeys(names), **counted,
    }  # fmt: skip


def test_what_slows_one_round_changes_no_ratio() -> None:
    assert times(row("auto", [1.0, 30.0, 2.0]), row("floor", [0.5, 15.0, 1.0])) == 2.0


def test_each_path_stands_beside_the_plain_one_and_the_floor() -> None:
    rows = [
        row("plain", [4.0, 4.0, 8.0], operations=1489, moved_bytes_per_image=3 * 2**20),
        row("auto", [1.0, 2.0, 2.0]),
        row("floor", [1.0, 1.0, 2.0]),
    ]
    _, plain, auto, floor, _ = lines(rows)
    assert plain.split() == ["train", "plain", "fp32", "2.0", "4,000.0", "1.00", "4.00", "3.0", "1,489"]
    assert auto.split() == ["train", "auto", "fp32", "4.0", "2,000.0", "4.00", "1.00"]
    assert floor.split() == ["train", "floor", "fp32", "8.0", "1,000.0", "4.00", "1.00"]


def test_a_step_grows_with_the_time_steps_beside_its_convolutions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One round of T=4 was slowed, which the ratio within rounds passes over."""
    caplog.set_level("INFO", "gacsnn")
    for number, (T, floor) in enumerate(((4, [1.0, 1.0, 9.0]), (2, [0.5, 0.5, 0.5]))):
        rows = [row("auto", [1.5 * each for each in floor], T=T), row("floor", floor, T=T)]
        (tmp_path / str(number)).mkdir()
        found = {"rows": [{"model": "resnet8", "batch_size": 8, **each} for each in rows]}
        (tmp_path / str(number) / FILE).write_text(json.dumps(found))
    show_growth(tmp_path)
    said = caplog.messages[0].splitlines()
    assert said[1] == "resnet8, batches of 8, fp32:"
    assert [line.split() for line in said[4:6]] == [
        ["2", "750.0", "500.0", "1.50"],
        ["4", "1,500.0", "1,000.0", "1.50"],
    ]
    assert said[-1] == "A time step more costs 375.0 ms, and 250.0 in convolutions: 1.50 times as much."
