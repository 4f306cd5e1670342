"""What `task=benchmark` found, as a table; and how it grows with T, where it was done for several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, NamedTuple

from gacsnn.config.text import from_json
from gacsnn.report.table import Align, text
from gacsnn.runtime.console import log

FILE = "benchmark.json"

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


class Grown(NamedTuple):
    """Seconds of a training step at a T, and of its convolutions alone."""

    T: int
    step: float
    floor: float


def grown(rows: Sequence[Mapping[str, Any]]) -> Grown:
    """Of the rows of a `benchmark.json`. The step is the convolutions' time by the ratio within rounds."""
    there = {row["path"]: row for row in rows if row["phase"] == "train"}
    auto, floor = there["auto"], there["floor"]
    return Grown(auto["T"], times(auto, floor) * floor["seconds"], floor["seconds"])


def slope(found: Sequence[Grown]) -> str:
    """What a time step more costs; of two T at least."""
    step, floor = (1000 * linear_regression([at.T for at in found], each).slope
                   for each in ([at.step for at in found], [at.floor for at in found]))  # fmt: skip
    return f"A time step more costs {step:,.1f} ms, and {floor:,.1f} in convolutions: {step / floor:.2f} times as much."


def show_growth(folder: Path) -> None:
    """Print how a step grows with T, of the benchmarks of a grid, for each network, batch size and precision."""
    files = sorted(folder.glob(f"*/{FILE}"))
    of_kind: dict[tuple[Any, ...], list[Grown]] = {}
    for rows in (from_json(file.read_text("utf-8"))["rows"] for file in files):
        auto = next(row for row in rows if (row["phase"], row["path"]) == ("train", "auto"))
        kind = auto["model"], auto["batch_size"], auto["precision"]
        of_kind.setdefault(kind, []).append(grown(rows))
    for (model, batch_size, precision), found in of_kind.items():
        found.sort()
        cells = [
            (f"{at.T}", f"{1000 * at.step:,.1f}", f"{1000 * at.floor:,.1f}", f"{at.step / at.floor:.2f}")
            for at in found
        ]
        made = [f"\n{model}, batches of {batch_size}, {precision}:", ""]
        made += text(cells, ("T", "training step, ms", "its convolutions alone, ms", "of floor"), ALIGN[3:7])
        log.info("\n".join([*made, *([slope(found)] if len({at.T for at in found}) > 1 else [])]))


def times(row: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """How many times as long as the other's a row's steps take: the median over rounds. A busy machine slows all of a round."""
    return median(one / two for one, two in zip(row["round_seconds"], other["round_seconds"], strict=True))


def mib(size: float | None) -> str:
    return "" if size is None else f"{size / MIB:,.1f}"
