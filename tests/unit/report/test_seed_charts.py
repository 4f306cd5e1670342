"""The figures of means over seeds."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from program import config

from gacsnn.report.rows import Row, rows_of
from gacsnn.report.runs import Run
from gacsnn.report.seed_charts import MOST, seed_charts
from gacsnn.report.svg import draw


def run(seed: int, top1: float, *options: str, energy: float | None = 1.0) -> Run:
    metrics = [{"epoch": 1, "validation_top1": top1 - 10}, {"epoch": 2, "validation_top1": top1}]
    return Run(Path(), config(f"seed={seed}", *options), {"validation_top1": top1, "energy_mj": energy}, metrics)


def series(rows: list[Row]) -> dict[str, dict[str, Any]]:
    return {chart.name: {entry.label: entry for entry in chart.series} for chart in seed_charts(rows)}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    made = []
    for index, (T, encoder) in enumerate(itertools.product((4, 2), ("gac", "direct"))):
        for seed in (0, 1):
            made.append(run(seed, 50.0 + 10 * index + 2 * seed, f"T={T}", f"encoder={encoder}", energy=float(T)))
    return rows_of(made)


def test_time_steps_have_a_line_for_each_of_the_other_settings(rows: list[Row]) -> None:
    found = series(rows)["t_accuracy"]
    assert list(found) == ["encoder=direct", "encoder=gac"], "the best first"
    assert found["encoder=gac"].points == [(0, 71), (1, 51)]
    assert [low for _, low, _ in found["encoder=gac"].band] == pytest.approx([71 - 2**0.5, 51 - 2**0.5])


def test_the_front_is_of_means_with_their_deviations(rows: list[Row]) -> None:
    found = series(rows)["pareto"]
    assert found["Pareto front"].points == [(2, 81)]
    assert sorted(found["T=4"].points) == [(4, 51), (4, 61)]
    assert found["T=2"].tips[0] == "T=2 encoder=direct n=2: 81.00 ± 1.41"


def test_with_one_number_of_steps_the_settings_are_told_apart() -> None:
    made = [run(seed, 50.0, f"encoder={encoder}") for encoder in ("gac", "direct") for seed in (0, 1)]
    assert set(series(rows_of(made))["pareto"]) == {"", "Pareto front", "encoder=gac", "encoder=direct"}


def test_curves_are_means_with_a_band_of_a_deviation(rows: list[Row]) -> None:
    found = series(rows)["curves"]
    assert next(iter(found)) == "T=2 encoder=direct n=2"
    assert found["T=2 encoder=direct n=2"].points == [(1, 71), (2, 81)]
    assert found["T=2 encoder=direct n=2"].band[0] == pytest.approx((1, 71 - 2**0.5, 71 + 2**0.5))


def test_of_many_settings_the_best_are_shown_and_said_to_be() -> None:
    many = rows_of(
        [run(seed, 10.0 * index, f"optimizer.lr={index + 1}e-3") for index in range(MOST + 2) for seed in (0, 1)]
    )
    (*_, curves) = seed_charts(many)
    assert curves.title.endswith(f"best {MOST} of {MOST + 2}")
    assert curves.series[0].label == f"optimizer.lr={(MOST + 2) / 1000} n=2"


def test_what_no_run_knows_is_left_out_and_one_seed_has_no_band() -> None:
    alone = rows_of([run(0, 50.0, energy=None)])
    (chart,) = seed_charts(alone)
    assert chart.name == "curves"
    assert chart.series[0].band == ()
    assert draw(chart)
