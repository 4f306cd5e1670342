"""The table of task=benchmark."""

from typing import Any

from gacsnn.report.benchmark import lines, times


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
