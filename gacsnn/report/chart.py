"""What a figure of a page shows, before it is drawn (`svg.py`): axes, series of points, lines and bands, and their source."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """`names`: the places 0, 1, ... have these names, in place of numbers. `whole`: ticks at whole numbers only."""

    label: str
    log: bool = False
    whole: bool = False
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Series:
    """Points of one kind. `look` picks colour, marker and dashes, the same for the same thing in all figures of a page.

    `marker` is one of those of `svg.MARKERS`, or "" for none. `joined` is "" or "line" or "step"; a gap in a line is a point
    whose y is nan. `band` are pairs of (x, low, high). `tips` are a text for each point.
    """

    label: str
    points: Sequence[Point]
    look: int = 0
    marker: str = ""
    joined: str = ""
    faint: bool = False
    band: Sequence[tuple[float, float, float]] = ()
    tips: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A figure. `name` is that of its file, `source` says where its numbers come from."""

    name: str
    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    source: str


@dataclass(frozen=True)
class HeatMap:
    """Percent at the crossings of rows and columns, which have the same names; where there is none, no cell stands in `cells`."""

    name: str
    title: str
    names: Sequence[str]
    x_label: str
    y_label: str
    cells: Mapping[tuple[int, int], float]
    source: str


def span(values: Sequence[float], axis: Axis) -> tuple[float, float]:
    """The ends of an axis, a little beyond its values; in decades where it is logarithmic."""
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    low, high = min(values), max(values)
    if axis.log:
        low, high = math.log10(low), math.log10(high)
    room = 0.05 * (high - low) or 0.5 * (1.0 if axis.log or axis.whole else abs(high)) or 0.5
    return low - room, high + room


def ticks(low: float, high: float, axis: Axis, most: int = 6) -> list[tuple[float, str]]:
    """Places between the ends of an axis (in decades where it is logarithmic), and what stands there."""
    if axis.names:
        every = math.ceil(len(axis.names) / 12)
        return [(place, name) for place, name in enumerate(axis.names) if place % every == 0]
    if axis.log and high - low >= 1.5:
        every = math.ceil((high - low) / most)
        return [(power, f"{10.0**power:g}") for power in range(math.ceil(low), math.floor(high) + 1, every)]
    if axis.log:  # less than two powers of ten: their numbers in between, too
        numbers = [m * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 3, 5)]
        found = [(math.log10(number), f"{number:g}") for number in numbers if low <= math.log10(number) <= high]
        if len(found) > 1:
            return found
        return [(place, f"{10.0**place:.3g}") for place in (low, (low + high) / 2, high)]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    if axis.whole:
        step = max(1.0, step)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = [count * step for count in range(first, last + 1)]
    if max(map(abs, (low, high))) < 1e-4 or max(map(abs, (low, high))) >= 1e6:
        return [(place, f"{place:.3g}") for place in places]
    return [
        (place, f"{place:,.{decimals}f}".replace("-0", "0") if place == 0 else f"{place:,.{decimals}f}")
        for place in places
    ]
