"""A chart as SVG, with its legend. In a page it has the page's colours (`templates/page.css`), alone light ones."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gacsnn.report.chart import Chart, Point, Series, span, ticks
from gacsnn.report.html import render

# Okabe and Ito's colours, which colour-blind readers tell apart; markers and dashes say the same a second time.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
DASHES = ("", "7 3", "2 3", "8 3 2 3", "12 4", "4 2")

# A marker of radius r as a path that goes on from its centre. The first two are dots of a thick pen.
MARKERS: dict[str, Callable[[float], str]] = {
    "circle": lambda r: "h0",
    "square": lambda r: "h0",
    "triangle": lambda r: f"m0-{1.2 * r:.1f}l{1.1 * r:.1f} {2 * r:.1f}h-{2.2 * r:.1f}z",
    "diamond": lambda r: (
        f"m0-{1.3 * r:.1f}l{1.3 * r:.1f} {1.3 * r:.1f}-{1.3 * r:.1f} {1.3 * r:.1f}-{1.3 * r:.1f}-{1.3 * r:.1f}z"
    ),
    "plus": lambda r: f"m-{r:.1f} 0h{2 * r:.1f}m-{r:.1f}-{r:.1f}v{2 * r:.1f}",
    "cross": lambda r: f"m-{r:.1f}-{r:.1f}l{2 * r:.1f} {2 * r:.1f}m0-{2 * r:.1f}l-{2 * r:.1f} {2 * r:.1f}",
    "ring": lambda r: (
        f"m-{2 * r:.1f} 0a{2 * r:.1f} {2 * r:.1f} 0 1 0 {4 * r:.1f} 0a{2 * r:.1f} {2 * r:.1f} 0 1 0-{4 * r:.1f} 0"
    ),
}
FILLED = ("circle", "square", "triangle", "diamond")  # by which groups are told apart

# Units of the picture: its width, the axes' height, a row of the legend, and what a character is wide at most.
WIDTH, PLOT, ROW, CHARACTER = 400.0, 210.0, 18.0, 7.3
MANY = 400  # points, above which they are smaller and have no texts


def draw(chart: Chart, alone: bool = False) -> str:
    """The chart as `<svg>`; `alone`: as a file of its own."""
    chart = replace(chart, series=[visible(series) for series in chart.series])
    known = [point for series in chart.series for point in [*series.points, *edges(series)] if math.isfinite(point[1])]
    x_low, x_high = span([x for x, _ in known], chart.x)
    y_low, y_high = span([y for _, y in known], chart.y)
    y_ticks = ticks(y_low, y_high, chart.y)
    left = 32 + CHARACTER * max(len(text) for _, text in y_ticks)
    right, top = WIDTH - 14, 30.0
    bottom = top + PLOT

    def at_x(x: float) -> float:
        return left + (right - left) * ((math.log10(x) if chart.x.log else x) - x_low) / (x_high - x_low)

    def at_y(y: float) -> float:
        return bottom - PLOT * ((math.log10(y) if chart.y.log else y) - y_low) / (y_high - y_low)

    def place(point: Point) -> Point:
        return at_x(point[0]), at_y(point[1])

    size = 1.8 if len(known) > MANY else 3.2
    entries, end = legend([series for series in chart.series if series.label], bottom + 53)
    return render(
        "chart.svg",
        chart=chart,
        alone=alone,
        width=WIDTH,
        height=end + 12,
        plot={"left": left, "right": right, "top": top, "bottom": bottom},
        x_ticks=without_overlap(
            [(scaled(t, x_low, x_high, left, right), text) for t, text in ticks(x_low, x_high, chart.x)]
        ),
        y_ticks=[(scaled(t, y_low, y_high, bottom, top), text) for t, text in y_ticks],
        series=[shape(series, place, size) for series in chart.series],
        legend=entries,
    )


def visible(series: Series) -> Series:
    """A line through one point is nothing to see: a run of one epoch is a dot."""
    alone = series.joined == "line" and len(series.points) == 1 and not series.marker
    return replace(series, marker="circle") if alone else series


def edges(series: Series) -> list[Point]:
    return [point for x, low, high in series.band for point in ((x, low), (x, high))]


def scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (end - start) * (value - low) / (high - low)


def without_overlap(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Labels along the x axis, those left out that would touch the one before."""
    kept: list[tuple[float, str]] = []
    for place, text in labels:
        if not kept or place - kept[-1][0] > CHARACTER * (len(text) + len(kept[-1][1])) / 2 + 4:
            kept.append((place, text))
    return kept


def look(series: Series) -> dict[str, object]:
    """What a series and its sign in the legend share."""
    return {
        "look": series.look,
        "colour": COLOURS[series.look % len(COLOURS)],
        "dashes": DASHES[series.look % len(DASHES)],
        "marker": series.marker,
        "filled": series.marker in ("triangle", "diamond"),
        "cap": {"circle": "round", "square": "square"}.get(series.marker, ""),
        "faint": series.faint,
        "joined": series.joined,
        "banded": bool(series.band),
    }


def shape(series: Series, place: Callable[[Point], Point], size: float) -> dict[str, object]:
    """A series as paths: its band, its line, and its markers, as one path or, where they have texts, as one each."""
    marks: list[str] = []
    if series.marker:
        sign = MARKERS[series.marker](size if series.marker in FILLED else 0.9 * size)
        marks = [f"M{x:.1f} {y:.1f}{sign}" for x, y in map(place, series.points)]
    tips = series.tips if len(series.points) <= MANY else ()
    upper = [place((x, high)) for x, _, high in series.band]
    lower = [place((x, low)) for x, low, _ in series.band]
    return {
        **look(series),
        "pen": 2 * size if series.marker == "circle" else 1.8 * size if series.marker == "square" else 1.5,
        "marks": list(zip(marks, tips, strict=True)) if tips else [("".join(marks), "")] if marks else [],
        "line": joined(series, place) if series.joined else "",
        "band": path([*upper, *reversed(lower)]) + "z" if upper else "",
    }


def joined(series: Series, place: Callable[[Point], Point]) -> str:
    """The points as a line, or as steps; lines apart where a y is nan."""
    found, part = "", []
    for point in [*series.points, (math.nan, math.nan)]:
        if math.isfinite(point[1]):
            part.append(place(point))
        else:
            found, part = found + (stairs(part) if series.joined == "step" else path(part)), []
    return found


def path(places: Iterable[Point]) -> str:
    return "".join(f"{'L' if index else 'M'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(places))


def stairs(places: Sequence[Point]) -> str:
    return "".join(f"H{x:.1f}V{y:.1f}" if index else f"M{x:.1f} {y:.1f}" for index, (x, y) in enumerate(places))


def legend(series: Sequence[Series], y: float) -> tuple[list[dict[str, object]], float]:
    """The signs of the series and their labels, in rows below the axes; and where the last row is."""
    if len(series) < 2 and not any(entry.band for entry in series):
        return [], y - ROW  # one kind, which the title names
    entries: list[dict[str, object]] = []
    x = 8.0
    for entry in series:
        width = 34 + CHARACTER * len(entry.label) + 10
        if entries and x + width > WIDTH:
            x, y = 8.0, y + ROW
        sign = MARKERS[entry.marker](3.2) if entry.marker else ""
        mark = f"M{x + 12:.1f} {y:.1f}{sign}" if sign else ""
        pen = 6.4 if entry.marker == "circle" else 5.8 if entry.marker == "square" else 1.5
        entries.append({**look(entry), "x": x, "y": y, "mark": mark, "pen": pen, "label": entry.label})
        x += width
    return entries, y
