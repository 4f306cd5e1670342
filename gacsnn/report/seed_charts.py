"""The figures of a study with several seeds: means over them, as no single seed is better than the others."""

import re
import statistics
from collections.abc import Sequence

from gacsnn.report.chart import Axis, Chart, Point, Series
from gacsnn.report.rows import Row, Stat, mean_by_seed, seed_of, value_of, varying
from gacsnn.report.seeds import named
from gacsnn.report.svg import FILLED
from gacsnn.report.trials import ACCURACY, ENERGY, front, short
from gacsnn.report.words import word

GREY, MOST = 6, 6  # the look of what belongs to no settings; and how many settings are told apart
EPOCHS = Axis("epoch", whole=True)
GAP = (0.0, float("nan"))
RESULTS = f"each run's result.json, {ACCURACY}"


def seed_charts(rows: Sequence[Row]) -> list[Chart]:
    made = []
    if any(row.stat(ACCURACY) for row in rows):
        made += [by_option(rows, name) for name in sorted(varying(rows), key=lambda name: name != "T")]
    if any(row.stat(ACCURACY) and row.stat(ENERGY) for row in rows):
        made.append(pareto(rows))
    if any(steps_of(row) for row in rows):
        made.append(curves(rows))
    return made


def deviation(stat: Stat) -> float:
    return stat.sd if stat.n > 1 else 0.0


def by_option(rows: Sequence[Row], name: str) -> Chart:
    """A line over the values of an option for each of the other settings, the best ones where there are many."""
    values = list(dict.fromkeys(value_of(row, name) for row in rows))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric:
        values.sort()
    lines: dict[str, list[tuple[int, Stat]]] = {}
    others = [other for other in varying(rows) if other != name]
    for row in rows:
        if (stat := row.stat(ACCURACY)) is not None:
            label = " ".join(f"{other.removesuffix('.name')}={value_of(row, other)}" for other in others) or "all"
            lines.setdefault(label, []).append((values.index(value_of(row, name)), stat))
    best = sorted(lines.items(), key=lambda line: -max(stat.mean for _, stat in line[1]))[:MOST]
    series = []
    for index, (label, found) in enumerate(best):
        found.sort(key=lambda pair: pair[0])
        points = [(float(place), stat.mean) for place, stat in found]
        spread = [(place, stat.mean - deviation(stat), stat.mean + deviation(stat)) for place, stat in found]
        marker, joined = FILLED[index % len(FILLED)], "line" if numeric else ""
        if numeric:
            series.append(Series(label, points, index, marker, joined, band=spread))
        else:  # a choice has no values in between
            bars = [point for place, low, high in spread for point in ((place, low), (place, high), GAP)]
            series += [Series("", bars, index, joined="line", faint=True), Series(label, points, index, marker)]
    some = f", best {MOST} of {len(lines)}" if len(lines) > MOST else ""
    option = name.removesuffix(".name")
    axis = Axis("T, time steps" if name == "T" else option, names=[short(value) for value in values])
    file = "t" if name == "T" else re.sub(r"\W+", "_", option)
    title = f"{option} against accuracy: mean ± sd{some}"
    return Chart(f"{file}_accuracy", title, axis, Axis(word(ACCURACY)), series, RESULTS)


def pareto(rows: Sequence[Row]) -> Chart:
    """Means of accuracy and energy by T, or with one T by settings; a deviation of the accuracy either way, and the front."""
    bars: list[Point] = []
    groups: dict[str, tuple[list[Point], list[str]]] = {}
    by_settings = 1 < len(rows) <= MOST and len({row.config.T for row in rows}) == 1
    for row in sorted(rows, key=lambda row: row.config.T):
        top1, energy = row.stat(ACCURACY), row.stat(ENERGY)
        if top1 is not None and energy is not None:
            bars += [(energy.mean, top1.mean - deviation(top1)), (energy.mean, top1.mean + deviation(top1)), GAP]
            points, tips = groups.setdefault(named(row, rows) if by_settings else f"T={row.config.T}", ([], []))
            points.append((energy.mean, top1.mean))
            tips.append(f"{named(row, rows)} n={row.n}: {top1}")
    best = front([point for points, _ in groups.values() for point in points])
    series = [
        Series("", bars, GREY, joined="line", faint=True),
        Series("", best, GREY, joined="step"),
        Series("Pareto front", best, GREY, "ring"),
        *(
            Series(label, points, index % GREY, FILLED[index % len(FILLED)], tips=tips)
            for index, (label, (points, tips)) in enumerate(groups.items())
        ),
    ]
    title = "Accuracy against energy: mean ± sd"
    return Chart("pareto", title, Axis(word(ENERGY)), Axis(word(ACCURACY)), series, f"{RESULTS} and {ENERGY}")


def steps_of(row: Row) -> dict[int, list[float]]:
    """Top-1 of all seeds by epoch."""
    found: dict[int, list[tuple[int, float]]] = {}
    for run in row.runs:
        for line in run.metrics:
            if ACCURACY in line:
                found.setdefault(line["epoch"], []).append((seed_of(run), line[ACCURACY]))
    return {epoch: list(mean_by_seed(values).values()) for epoch, values in sorted(found.items())}


def curves(rows: Sequence[Row]) -> Chart:
    """Of each settings the mean over its seeds, with a band of one standard deviation; of the best ones, where there are many."""
    known = [(row, steps) for row in rows if (steps := steps_of(row))]
    known.sort(key=lambda entry: -statistics.fmean(entry[1][max(entry[1])]))
    series = []
    for index, (row, steps) in enumerate(known[:MOST]):
        mean = [(float(epoch), statistics.fmean(values)) for epoch, values in steps.items()]
        spread = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in steps.values()]
        band = [(epoch, value - sd, value + sd) for (epoch, value), sd in zip(mean, spread, strict=True)]
        label = f"{named(row, rows)} n={row.n}".strip()
        series.append(Series(label, mean, index, joined="line", band=band if any(spread) else ()))
    some = f", best {MOST} of {len(known)}" if len(known) > MOST else ""
    source = f"each run's metrics.jsonl, {ACCURACY}"
    return Chart("curves", f"Learning curves: mean ± sd{some}", EPOCHS, Axis(word(ACCURACY)), series, source)
