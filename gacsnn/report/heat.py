"""A heat map as SVG. What lies on its diagonal has one colour, what lies beside it another; the more percent, the stronger."""

import math

from gacsnn.report.chart import HeatMap
from gacsnn.report.html import render
from gacsnn.report.svg import CHARACTER, COLOURS, WIDTH

FEW = 12  # rows, with which there is room for numbers
SAID = 30  # rows, with which cells say what they are when pointed at
LABELS = 15  # names along an axis, at most
LONGEST = 14  # characters of a name
STEPS = 10  # shades
SCALE = (1, 5, 10, 25, 50, 100)  # percent whose shades are shown below


def draw(chart: HeatMap, alone: bool = False) -> str:
    """The map as `<svg>`; `alone`: as a file of its own."""
    count = len(chart.names)
    every = math.ceil(count / LABELS)
    names = [(index, shortened(name)) for index, name in enumerate(chart.names) if index % every == 0]
    room = 10 + CHARACTER * max(len(name) for _, name in names)
    left, top = 26 + room, 30.0
    side = (WIDTH - 14 - left) / count
    bottom = top + side * count
    numbers = count <= FEW
    strongest = 0.5 if numbers else 1.0  # a number has to be read on it
    return render(
        "heat.svg",
        chart=chart,
        alone=alone,
        width=WIDTH,
        height=bottom + room + 62,
        plot={"left": left, "right": WIDTH - 14, "top": top, "bottom": bottom},
        rows=[(top + side * (index + 0.5), name) for index, name in names],
        columns=[(left + side * (index + 0.5), name) for index, name in names],
        layers=layers(chart, left, top, side, strongest),
        numbers=[
            (left + side * (column + 0.5), top + side * (row + 0.5), f"{percent:.0f}")
            for (row, column), percent in sorted(chart.cells.items())
            if numbers and percent >= 0.5
        ],
        scale=[(left + 34 * index, percent, strongest * shade(percent)) for index, percent in enumerate(SCALE)],
        label_room=room,
        colours={"right": COLOURS[0], "wrong": COLOURS[1]},
    )


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def shade(percent: float) -> float:
    """By its root, so that one in a hundred can be seen, in so many steps."""
    return max(1, round(STEPS * math.sqrt(percent / 100))) / STEPS


def layers(chart: HeatMap, left: float, top: float, side: float, strongest: float) -> list[dict[str, object]]:
    """The cells of a colour and a shade as one path, or, where they say what they are, as one each."""
    size = round(max(side, 0.5), 2)
    found: dict[tuple[bool, float], list[tuple[str, str]]] = {}
    for (row, column), percent in sorted(chart.cells.items()):
        cell = f"M{left + side * column:.1f} {top + side * row:.1f}h{size}v{size}h-{size}z"
        tip = f"{chart.names[row]} {chart.x_label} {chart.names[column]}: {percent:.3g} %"
        found.setdefault((row == column, shade(percent)), []).append((cell, tip))
    said = len(chart.names) <= SAID
    return [
        {
            "right": right,
            "opacity": strongest * part,
            "cells": cells if said else [("".join(cell for cell, _ in cells), "")],
        }
        for (right, part), cells in sorted(found.items())
    ]
