"""What `task=benchmark` found, as a table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from gacsnn.report.table import Align, text

HEADERS = (
    "",
    "path",
    "precision",
    "images/s",
    "ms",
    "x plain",
    "of floor",
    "saved MiB",
    "moved MiB",
    "peak MiB",
    "operations",
)
LEFT, RIGHT = "left", "right"
ALIGN: list[Align] = [LEFT, LEFT, LEFT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT]
MIB = 2**20


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row a path: `x plain`, how many times as fast as the plain path; `of floor`, its time over that of the convolutions."""
    there = {(row["phase"], row["path"]): row for row in rows}
    cells = [
        (
            row["phase"],
            row["path"],
            row["precision"],
            f"{row['images_per_second']:,.1f}",
            f"{1000 * row['seconds']:,.1f}",
            f"{times(there[row['phase'], 'plain'], row):.2f}",
            f"{times(row, there[row['phase'], 'floor']):.2f}",
            *(mib(row[name]) for name in ("saved_bytes_per_image", "moved_bytes_per_image", "peak_memory_bytes")),
            "" if row["operations"] is None else f"{row['operations']:,}",
        )
        for row in rows
    ]
    return [
        *text(cells, HEADERS, ALIGN),
        "saved for the backward pass, and moved through memory outside convolutions: of an image; peak, operations: of a step",
    ]


def times(row: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """How many times as long as the other's a row's steps take: the median over rounds. A busy machine slows all of a round."""
    return median(one / two for one, two in zip(row["round_seconds"], other["round_seconds"], strict=True))


def mib(size: float | None) -> str:
    return "" if size is None else f"{size / MIB:,.1f}"
