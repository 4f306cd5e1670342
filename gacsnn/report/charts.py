"""The figures of a study."""

import re
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gacsnn.report.chart import Axis, Chart, Point, Series
from gacsnn.report.rows import Row
from gacsnn.report.seed_charts import EPOCHS, GREY, seed_charts
from gacsnn.report.svg import MARKERS
from gacsnn.report.trials import ACCURACY, ENERGY, Tried, front, groups, short
from gacsnn.report.words import word
from gacsnn.sweep.status import SEED

# What became of a trial: its word, its look and marker.
STATES = {
    "COMPLETE": ("complete", 0, "circle"),
    "PRUNED": ("stopped early", 1, "cross"),
    "RUNNING": ("running", 2, "plus"),
    "FAIL": ("failed", 3, "ring"),
}
SIGNS = tuple(MARKERS)
FEW_CURVES = 30

# An integer of more values than this is shown along an axis of numbers, one of fewer value by value.
MOST_PLACES = 16

# Options whose figures have a name and a label of their own: name of the file, label of the axis.
LABELS = {"T": ("t", "T, time steps"), "optimizer.lr": ("lr", "learning rate")}


def charts_of(
    tried: Sequence[Tried], objectives: Sequence[str], higher: Sequence[bool], means: Sequence[Row]
) -> list[Chart]:
    """Whichever figures this study has anything for. `higher`: of each objective, whether more is better."""
    scored = [one for one in tried if one.score is not None]
    complete = [one for one in scored if one.complete]
    if not scored:
        return []
    made = [history(scored, objectives[0], None if means else higher[0])]
    for name, space in searched(scored).items():
        having = [one for one in scored if name in one.trial.params]
        if values_of(space) is None:
            made.append(by_number(having, name, space, objectives[0]))
        elif not means:  # else `seed_charts` shows the means of each value
            made.append(by_choice(having, name, space, objectives[0], higher[0]))
    if means:
        return made + seed_charts(means)
    x, y = (objectives[1], objectives[0]) if len(objectives) == 2 else (ENERGY, ACCURACY)
    directions = (not higher[1], higher[0]) if len(objectives) == 2 else (True, True)
    if known := [one for one in complete if one.value(x) is not None and one.value(y) is not None]:
        made.append(pareto(known, x, y, *directions))
    energetic = [one for one in complete if one.value(ENERGY) is not None]
    if energetic and all("T" in one.trial.params for one in energetic):
        made.append(energy_by_steps(energetic))
    if curved := [one for one in complete if one.curve]:
        made.append(curves(curved, higher[0]))
    return made


def source(column: str) -> str:
    return f"trials.csv, column {column}"


def tips(tried: Sequence[Tried]) -> list[str]:
    return [one.said() for one in tried]


def by_state(tried: Sequence[Tried], place: Callable[[Tried], float]) -> list[Series]:
    """Scores at their places, by what became of the trials; those that are not complete faint, and beneath."""
    made = []
    for state, (label, look, marker) in reversed(STATES.items()):
        if chosen := [one for one in tried if one.trial.state.name == state]:
            points = [(place(one), score_of(one)) for one in chosen]
            made.append(Series(label, points, look, marker, faint=state != "COMPLETE", tips=tips(chosen)))
    return made


def score_of(tried: Tried) -> float:
    assert tried.score is not None
    return tried.score


def history(scored: Sequence[Tried], objective: str, higher: bool | None) -> Chart:
    """`higher`: whether more is better; None: the best so far is not shown, as where seeds differ."""
    better = max if higher else min
    best: list[Point] = []
    for one in scored:
        if one.complete:
            best.append((one.trial.number, better(best[-1][1], score_of(one)) if best else score_of(one)))
    series = [Series("best so far", best, GREY, joined="step")] if best and higher is not None else []
    series += by_state(scored, lambda one: one.trial.number)
    x, y = Axis("trial", whole=True), Axis(word(objective))
    return Chart("history", "History of the search", x, y, series, source(f"{objective} by trial"))


def searched(tried: Sequence[Tried]) -> dict[str, BaseDistribution]:
    """Return the searched options of several values, but for the seed, which is not compared; T first."""
    found = {name: space for one in tried for name, space in one.trial.distributions.items() if not space.single()}
    found.pop(SEED, None)
    return dict(sorted(found.items(), key=lambda item: item[0] != "T"))


def values_of(space: BaseDistribution) -> list[Any] | None:
    """Return the values of an option that has few, numbers in their order; None if it is shown along an axis of numbers."""
    if isinstance(space, CategoricalDistribution):
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in space.choices)
        return sorted(space.choices, key=float) if numeric else list(space.choices)  # type: ignore[arg-type]
    assert isinstance(space, FloatDistribution | IntDistribution)
    if not isinstance(space, IntDistribution) or (space.high - space.low) // space.step >= MOST_PLACES:
        return None
    return list(range(space.low, space.high + 1, space.step))


def choice_axis(tried: Sequence[Tried], name: str, space: BaseDistribution) -> tuple[Axis, Callable[[Tried], float]]:
    """The tried values, evenly spaced, and where a trial stands: where there are many, beside its value, each elsewhere."""
    there = {one.trial.params[name] for one in tried}
    values = [value for value in values_of(space) or sorted(there, key=float) if value in there]
    width = 0.6 if len(tried) > 12 * len(values) else 0.0

    def place(one: Tried) -> float:
        return values.index(one.trial.params[name]) + width * (one.trial.number * 0.618034 % 1 - 0.5)

    return Axis(label_of(name), names=[short(value) for value in values]), place


def label_of(name: str) -> str:
    return LABELS.get(name, (name, name))[1]


def chart_of(name: str, x: Axis, objective: str, series: list[Series]) -> Chart:
    """The figure of an option: `lr_accuracy`, `model_width_accuracy`."""
    file = LABELS.get(name, (re.sub(r"\W+", "_", name).strip("_"), ""))[0]
    title = x.label.partition(",")[0]
    shown = f"{title[0].upper()}{title[1:]}" if name in LABELS else name
    return Chart(
        f"{file}_accuracy",
        f"{shown} against accuracy",
        x,
        Axis(word(objective)),
        series,
        f"{source(objective)} by {name}",
    )


def by_choice(scored: Sequence[Tried], name: str, space: BaseDistribution, objective: str, higher: bool) -> Chart:
    axis, place = choice_axis(scored, name, space)
    complete = [one for one in scored if one.complete]
    better = max if higher else min
    best: dict[int, float] = {}
    for one in complete:
        at = round(place(one))
        best[at] = better(best.get(at, score_of(one)), score_of(one))
    series = by_state(complete or scored, place)  # the early scores of others would press these together
    if best:
        joined = "line" if name == "T" or not isinstance(space, CategoricalDistribution) else ""
        series.append(Series(f"best of each {name}", sorted(best.items()), GREY, "diamond", joined))
    return chart_of(name, axis, objective, series)


def energy_by_steps(complete: Sequence[Tried]) -> Chart:
    axis, place = choice_axis(complete, "T", complete[0].trial.distributions["T"])
    series = [
        Series(
            "complete", [(place(one), one.value(ENERGY) or 0.0) for one in complete], 0, "circle", tips=tips(complete)
        )
    ]
    return Chart("t_energy", "T against energy", axis, Axis(word(ENERGY)), series, source(f"{ENERGY} by T"))


def grouped(tried: Sequence[Tried], point: Callable[[Tried], Point]) -> list[Series]:
    """A look and a marker for each T."""
    return [
        Series(label, [point(one) for one in found], index % GREY, SIGNS[index % len(SIGNS)], tips=tips(found))
        for index, (label, found) in enumerate(groups(tried).items())
    ]


def by_number(scored: Sequence[Tried], name: str, space: BaseDistribution, objective: str) -> Chart:
    """Complete trials by T, and those that were stopped, whose scores are of an earlier epoch, as small marks of their own."""

    def point(one: Tried) -> Point:
        return float(one.trial.params[name]), score_of(one)

    complete, rest = [one for one in scored if one.complete], [one for one in scored if not one.complete]
    series = (
        [Series("not complete: last score", list(map(point, rest)), GREY, "cross", faint=True, tips=tips(rest))]
        if rest
        else []
    )
    series += grouped(complete, point) if complete else []
    assert isinstance(space, FloatDistribution | IntDistribution)
    axis = Axis(label_of(name), log=space.log, whole=isinstance(space, IntDistribution) and not space.log)
    return chart_of(name, axis, objective, series)


def pareto(complete: Sequence[Tried], x: str, y: str, low_x: bool, high_y: bool) -> Chart:
    def point(one: Tried) -> Point:
        across, up = one.value(x), one.value(y)
        assert across is not None
        assert up is not None
        return across, up

    best = front([point(one) for one in complete], low_x, high_y)
    # From one of the front to the next, what can be had is what the worse one has: a step that no trial lies beyond.
    corners = [best[0]] if best else []
    for (_, before), (after, level) in pairwise(best):
        corners += [(after, before), (after, level)] if low_x else [(corners[-1][0], level), (after, level)]
    series = [
        Series("", corners, GREY, joined="line"),
        Series("Pareto front", best, GREY, "ring"),
        *grouped(complete, point),
    ]
    named_y = "Accuracy" if y == ACCURACY else word(y)
    named_x = "energy" if x == ENERGY else word(x)
    chart_source = f"trials.csv, columns {y} and {x}"
    return Chart("pareto", f"{named_y} against {named_x}", Axis(word(x)), Axis(word(y)), series, chart_source)


def curves(complete: Sequence[Tried], higher: bool) -> Chart:
    """A thin line a trial; of more than `FEW_CURVES` trials, the median and the quartiles of each T. The best trial on top."""
    few = len(complete) <= FEW_CURVES
    series = []
    for index, (label, found) in enumerate(groups(complete).items()):
        if few:
            points = [point for one in found for point in [*one.curve, (0, float("nan"))]]
            series.append(Series(label, points, index % GREY, joined="line", faint=True))
        else:
            cuts = {
                epoch: statistics.quantiles(values, n=4) for epoch, values in by_epoch(found).items() if len(values) > 1
            }
            band = [(epoch, low, high) for epoch, (low, _, high) in cuts.items()]
            middle = [(epoch, median) for epoch, (_, median, _) in cuts.items()]
            series.append(Series(label, middle, index % GREY, joined="line", band=band))
    best = (max if higher else min)(complete, key=score_of)
    series.append(Series(f"best: trial {best.trial.number}", best.curve, GREY, joined="line"))
    title = "Learning curves" if few else "Learning curves: median, quartiles"
    return Chart(
        "curves",
        title,
        EPOCHS,
        Axis(word(ACCURACY)),
        series,
        "what each trial told the study after each epoch, or its metrics.jsonl",
    )


def by_epoch(tried: Sequence[Tried]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for one in tried:
        for epoch, value in one.curve:
            found.setdefault(epoch, []).append(value)
    return dict(sorted(found.items()))
