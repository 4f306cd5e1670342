"""What pages are made of: tables whose cells know by what they are sorted, and figures with their source."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gacsnn.report import heat
from gacsnn.report.chart import Chart, HeatMap
from gacsnn.report.svg import draw


class Cell(NamedTuple):
    """`key`: what the cell is sorted by, where that is not its text. `heat`: percent of the strongest colour. `link`: a page."""

    text: str
    key: float | None = None
    heat: float | None = None
    link: str | None = None


@dataclass(frozen=True)
class Table:
    headers: Sequence[str]
    align: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Tile(NamedTuple):
    """A figure in large type, with what it is and a remark."""

    label: str
    value: str
    note: str


class Section(NamedTuple):
    """A table with a title and remarks, such as claims and their answers."""

    title: str
    table: Table | None
    notes: Sequence[str]


@dataclass(frozen=True)
class Figure:
    svg: str
    source: str


def plain(rows: Iterable[Sequence[str]], headers: Sequence[str], align: Sequence[str]) -> Table:
    """A table of texts; `96.30 ± 0.25` is sorted by its mean."""

    def cell(text: str) -> Cell:
        mean, between, _ = text.partition(" ± ")
        return Cell(text, float(mean) if between else None)

    return Table(headers, align, [[cell(text) for text in row] for row in rows])


def figures(charts: Iterable[Chart | HeatMap]) -> list[Figure]:
    return [Figure(heat.draw(chart) if isinstance(chart, HeatMap) else draw(chart), chart.source) for chart in charts]


def said(value: Any) -> str:
    """An option's value as a command line or YAML would have it."""
    return value if isinstance(value, str) else json.dumps(value)
