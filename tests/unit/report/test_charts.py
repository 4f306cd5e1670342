"""Which figures a study has, and what is in them."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from gacsnn.report.chart import Chart, Series
from gacsnn.report.charts import FEW_CURVES, charts_of
from gacsnn.report.svg import draw
from gacsnn.report.trials import Tried, front, groups, tried

SPACE = {
    "T": optuna.distributions.CategoricalDistribution((1, 2, 10)),
    "optimizer.lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
}


def trial(
    number: int,
    T: int,
    lr: float,
    *values: float,
    reported: dict[int, float] | None = None,
    state: TrialState = TrialState.COMPLETE,
) -> FrozenTrial:
    made = optuna.create_trial(
        state=state,
        params={"T": T, "optimizer.lr": lr},
        distributions=SPACE,
        values=values if state == TrialState.COMPLETE else None,
        intermediate_values=reported or {},
    )
    made.number = number
    return made


STOPPED = trial(2, 1, 0.3, reported={1: 9.0, 2: 10.0}, state=TrialState.PRUNED)
ONE = [
    trial(0, 10, 0.1, 50.0, reported={1: 20.0, 2: 50.0}),
    trial(1, 2, 0.01, 70.0, reported={1: 30.0, 2: 70.0}),
    STOPPED,
    trial(3, 2, 0.001, 60.0),
]
TWO = [trial(0, 10, 0.1, 50.0, 3.0), trial(1, 2, 0.01, 70.0, 4.0), trial(3, 2, 0.001, 60.0, 2.0)]


def made(trials: list[FrozenTrial], objectives: list[str], higher: list[bool]) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts_of(tried(trials, objectives, Path()), objectives, higher, [])}


@pytest.fixture
def one() -> dict[str, Chart]:
    return made(ONE, ["validation_top1"], [True])


def series(chart: Chart) -> dict[str, Series]:
    return {series.label: series for series in chart.series}


@pytest.mark.parametrize(("higher", "best"), [(True, [50, 70, 70]), (False, [50, 50, 50])])
def test_history_shows_every_trial_and_the_best_so_far(higher: bool, best: list[float]) -> None:
    found = series(made(ONE, ["validation_top1"], [higher])["history"])
    assert found["complete"].points == [(0, 50), (1, 70), (3, 60)]
    assert found["stopped early"].points == [(2, 10)]
    assert found["best so far"].points == list(zip((0, 1, 3), best, strict=True))


def test_time_steps_are_in_order_of_their_numbers_with_the_best_of_each(one: dict[str, Chart]) -> None:
    assert one["t_accuracy"].x.names == ["1", "2", "10"]
    found = series(one["t_accuracy"])
    assert found["best of each T"].points == [(1, 70), (2, 50)]
    assert "stopped early" not in found, "the score of an earlier epoch"


def test_no_line_joins_learning_rates_and_those_stopped_are_apart(one: dict[str, Chart]) -> None:
    found = series(one["lr_accuracy"])
    assert {label: entry.points for label, entry in found.items()} == {
        "not complete: last score": [(0.3, 10)],
        "T=2": [(0.01, 70), (0.001, 60)],
        "T=10": [(0.1, 50)],
    }
    assert not any(entry.joined for entry in found.values())
    assert len({(entry.look, entry.marker) for entry in found.values()}) == 3
    assert one["lr_accuracy"].x.log


def test_many_trials_of_one_value_stand_side_by_side() -> None:
    many = [trial(number, 2, 0.01, 50.0 + number) for number in range(40)]
    points = series(made(many, ["validation_top1"], [True])["t_accuracy"])["complete"].points
    assert len({x for x, _ in points}) == 40
    assert all(abs(x) < 0.4 for x, _ in points)


def test_two_objectives_have_a_front() -> None:
    (chart,) = [
        chart for name, chart in made(TWO, ["validation_top1", "energy_mj"], [True, False]).items() if name == "pareto"
    ]
    found = series(chart)
    assert found["Pareto front"].points == [(2, 60), (4, 70)]
    assert found[""].points == [(2, 60), (4, 60), (4, 70)], "what the lower one has is had until the higher one"
    assert found["T=10"].points == [(3, 50)]
    assert (chart.x.label, chart.y.label) == ("energy, mJ per image", "validation top-1, %")


@pytest.mark.parametrize(
    ("low_x", "high_y", "expected"),
    [
        (True, True, [(1, 5), (3, 6)]),
        (False, True, [(3, 6), (4, 2)]),
        (True, False, [(1, 5), (2, 4), (4, 2)]),
        (False, False, [(4, 2)]),
    ],
)
def test_the_front_is_what_no_other_beats(low_x: bool, high_y: bool, expected: list[tuple[int, int]]) -> None:
    points: list[tuple[float, float]] = [(1, 5), (2, 4), (3, 6), (4, 2), (3, 6)]
    assert front(points, low_x, high_y) == expected


@pytest.mark.parametrize("higher", [[True, True], [False, True], [True, False], [False, False]])
def test_each_pair_of_directions_can_be_drawn(higher: list[bool]) -> None:
    for chart in made(TWO, ["params", "macs"], higher).values():
        assert draw(chart)


def test_energy_that_the_runs_know_is_shown_though_it_is_no_objective() -> None:
    known = [
        Tried(t, t.values[0], {"validation_top1": t.values[0]}, {"energy_mj": e}, [])
        for t, e in zip((ONE[0], ONE[1]), (3.0, 1.0), strict=True)
    ]
    charts = {chart.name: chart for chart in charts_of(known, ["validation_top1"], [True], [])}
    assert series(charts["pareto"])["Pareto front"].points == [(1, 70)]
    assert [y for _, y in series(charts["t_energy"])["complete"].points] == [3, 1]


def test_curves_are_of_complete_trials_and_not_joined_to_each_other(one: dict[str, Chart]) -> None:
    found = series(one["curves"])
    assert list(found) == ["T=2", "T=10", "best: trial 1"]
    assert found["best: trial 1"].points == [(1, 30), (2, 70)]
    assert math.isnan(found["T=2"].points[-1][1])


def test_of_many_curves_the_quartiles_are_shown() -> None:
    many = [trial(n, 2, 0.01, float(n), reported={1: float(n), 2: n + 10.0}) for n in range(FEW_CURVES + 1)]
    found = series(made(many, ["validation_top1"], [True])["curves"])["T=2"]
    assert found.points == [(1, 15), (2, 25)]
    assert found.band == [(1, 7, 23), (2, 17, 33)]


def test_without_complete_trials_there_are_figures_and_without_scores_none() -> None:
    charts = made([STOPPED], ["validation_top1"], [True])
    assert set(charts) == {"history", "t_accuracy", "lr_accuracy"}
    assert all(draw(chart) for chart in charts.values())
    assert made([trial(0, 1, 0.1, state=TrialState.FAIL)], ["validation_top1"], [True]) == {}


def test_a_score_that_is_not_finite_is_in_no_figure() -> None:
    charts = made([trial(0, 1, 0.1, math.inf), trial(1, 1, 0.1, 3.0)], ["validation_top1"], [True])
    assert series(charts["history"])["complete"].points == [(1, 3)]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["complete"]),
        ({"encoder": ("gac", "direct")}, ["encoder=direct", "encoder=gac"]),
        ({"seed": (1, 2)}, ["complete"]),
    ],
)
def test_groups_are_by_time_steps_or_by_names_and_never_by_seed(params: dict[str, Any], expected: list[str]) -> None:
    trials = []
    for index in range(2):
        space = {name: optuna.distributions.CategoricalDistribution(values) for name, values in params.items()}
        chosen = {name: values[index] for name, values in params.items()}
        trials.append(optuna.create_trial(params=chosen, distributions=space, value=1.0))
    assert list(groups(tried(trials, ["a"], Path()))) == expected


def test_history_of_an_objective_to_minimise_shows_the_smallest_so_far() -> None:
    chart = made(ONE, ["validation_loss"], [False])["history"]
    assert list(series(chart)["best so far"].points) == [(0, 50.0), (1, 50.0), (3, 50.0)]


def test_best_of_each_choice_of_an_objective_to_minimise_is_the_smallest() -> None:
    found = series(made(ONE, ["validation_loss"], [False])["t_accuracy"])
    assert found["best of each T"].points == [(1, 60), (2, 50)]


def test_curves_of_an_objective_to_minimise_mark_the_smallest() -> None:
    found = series(made(ONE, ["validation_top1"], [False])["curves"])
    assert found["best: trial 0"].points == [(1, 20), (2, 50)]


def test_front_of_two_objectives_to_minimise_goes_down() -> None:
    found = series(made(TWO, ["validation_loss", "energy_mj"], [False, False])["pareto"])
    assert found["Pareto front"].points == [(2, 60), (3, 50)]
    assert found[""].points == [(2, 60), (3, 60), (3, 50)]
