"""A measurement class by class: `classes.csv`, a line a class, and `confusion.csv`, a line for each pair of a class and what its
images were taken for that there is an image of; so a thousand classes make a file no longer than their images are many.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gacsnn.report.chart import HeatMap
from gacsnn.report.pages import Cell, Table
from gacsnn.report.table import text, write_csv
from gacsnn.runtime.console import log
from gacsnn.runtime.run_dir import RunDirectory

SHOWN = 10  # classes in the terminal
PAIRS = 20  # mistakes on the page
MOST = 100  # rows of the picture; with more classes, several that follow each other are one


@dataclass(frozen=True)
class Confusion:
    """How many images of a class were taken for which: {(class, predicted class): images}, by their places in `classes`."""

    classes: Sequence[str]
    counts: Mapping[tuple[int, int], int]

    def images(self) -> list[int]:
        found = [0] * len(self.classes)
        for (there, _), count in self.counts.items():
            found[there] += count
        return found


@dataclass(frozen=True)
class OfClass:
    """`top1` in percent, None without images. `mistaken`: what else its images are taken for most often, and how many of them."""

    name: str
    images: int
    correct: int
    top1: float | None
    mistaken: str
    mistaken_images: int


def by_class(confusion: Confusion) -> list[OfClass]:
    worst: dict[int, tuple[int, int]] = {}
    for (there, found), count in sorted(confusion.counts.items()):
        if there != found and count > worst.get(there, (0, 0))[0]:
            worst[there] = count, found
    rows = []
    for index, (name, images) in enumerate(zip(confusion.classes, confusion.images(), strict=True)):
        correct = confusion.counts.get((index, index), 0)
        count, found = worst.get(index, (0, None))
        mistaken = "" if found is None else confusion.classes[found]
        rows.append(OfClass(name, images, correct, 100 * correct / images if images else None, mistaken, count))
    return rows


def write_by_class(confusion: Confusion, run_dir: RunDirectory) -> None:
    if not run_dir.writes:
        return
    rows = [(c.name, c.images, c.correct, c.top1, c.mistaken or None, c.mistaken_images) for c in by_class(confusion)]
    write_csv(run_dir.classes_path, ["class", "images", "correct", "top1", "most_taken_for", "of_images"], rows)
    names = confusion.classes
    pairs = [(names[there], names[found], count) for (there, found), count in sorted(confusion.counts.items())]
    write_csv(run_dir.confusion_path, ["class", "predicted", "images"], pairs)


def read_confusion(run_dir: RunDirectory) -> Confusion | None:
    """None where the run is no measurement by class."""
    if not (run_dir.classes_path.exists() and run_dir.confusion_path.exists()):
        return None
    with run_dir.classes_path.open(newline="", encoding="utf-8") as file:
        classes = [line["class"] for line in csv.DictReader(file)]
    places = {name: index for index, name in enumerate(classes)}
    with run_dir.confusion_path.open(newline="", encoding="utf-8") as file:
        counts = {
            (places[line["class"]], places[line["predicted"]]): int(line["images"]) for line in csv.DictReader(file)
        }
    return Confusion(classes, counts)


def worst_first(rows: Sequence[OfClass]) -> list[OfClass]:
    return sorted((row for row in rows if row.top1 is not None), key=lambda row: row.top1 or 0.0)


def show(confusion: Confusion, run_dir: RunDirectory) -> None:
    """The worst classes, in the terminal."""
    rows = worst_first(by_class(confusion))
    shown = rows[:SHOWN]
    title = "by class, the worst first" if len(shown) == len(rows) else f"the worst {SHOWN} of {len(rows)} classes"
    columns = {
        "class": [row.name for row in shown],
        "images": [str(row.images) for row in shown],
        "top-1 %": [f"{row.top1:.2f}" for row in shown],
        "most often taken for": [taken_for(row) for row in shown],
    }
    lines = text(list(zip(*columns.values(), strict=True)), list(columns), ["left", "right", "right", "left"])
    log.info("\n".join(["", f"{title}; all in {run_dir.classes_path}, and the confusion matrix beside it", *lines]))


def taken_for(row: OfClass) -> str:
    return f"{row.mistaken} ({row.mistaken_images})" if row.mistaken else ""


def class_table(confusion: Confusion) -> Table:
    rows = [
        [
            Cell(row.name),
            Cell(str(row.images)),
            Cell(f"{row.top1:.2f}", row.top1),
            Cell(taken_for(row), row.mistaken_images),
        ]
        for row in worst_first(by_class(confusion))
    ]
    return Table(
        ["class", "images", "top-1, %", "most often taken for (images)"], ["left", "right", "right", "left"], rows
    )


def mistakes(confusion: Confusion) -> Table | None:
    """The most frequent ones."""
    images, names = confusion.images(), confusion.classes
    wrong = [(count, there, found) for (there, found), count in confusion.counts.items() if there != found]
    rows = [
        [Cell(names[there]), Cell(names[found]), Cell(str(count)), Cell(f"{100 * count / images[there]:.1f}")]
        for count, there, found in sorted(wrong, key=lambda one: (-one[0], one[1:]))[:PAIRS]
    ]
    return (
        Table(["class", "taken for", "images", "% of the class"], ["left", "left", "right", "right"], rows)
        if rows
        else None
    )


def heat_map(confusion: Confusion) -> HeatMap:
    """Percent of the images of each class by what they were taken for; of several classes a row, where there are many."""
    together = math.ceil(len(confusion.classes) / MOST)
    counts: dict[tuple[int, int], int] = {}
    totals: dict[int, int] = {}
    for (there, found), count in confusion.counts.items():
        place = there // together, found // together
        counts[place] = counts.get(place, 0) + count
        totals[place[0]] = totals.get(place[0], 0) + count
    names = confusion.classes[::together]
    several = f"; {together} classes that follow each other are one row, and mistakes among them lie on the diagonal"
    return HeatMap(
        "confusion",
        "Confusion matrix",
        [f"{name} ..." if together > 1 else name for name in names],
        "taken for",
        "class",
        {place: 100 * count / totals[place[0]] for place, count in counts.items()},
        f"confusion.csv: percent of the images of a class{several if together > 1 else ''}",
    )
