"""Figures of a study, looked at before they are pixels."""

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState
from PIL import Image

from gacsnn.report import figures

SPACE = {
    "T": optuna.distributions.CategoricalDistribution((1, 2, 10)),
    "optimizer.lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
}


def trial(number: int, T: int, lr: float, *values: float, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    made = optuna.create_trial(
        state=state,
        params={"T": T, "optimizer.lr": lr},
        distributions=SPACE,
        values=values if state == TrialState.COMPLETE else None,
    )
    made.number = number
    return made


TRIALS = [trial(0, 10, 0.1, 50.0, 3.0), trial(1, 2, 0.01, 70.0, 4.0), trial(3, 2, 0.001, 60.0, 2.0)]
STOPPED = trial(2, 1, 0.3, state=TrialState.PRUNED)
SCORED = [(TRIALS[0], 50.0), (TRIALS[1], 70.0), (STOPPED, 10.0), (TRIALS[2], 60.0)]


@pytest.fixture
def axes() -> Axes:
    return Figure().add_subplot()


def lines(axes: Axes) -> dict[str, list[tuple[Any, ...]]]:
    return {str(line.get_label()): [tuple(point) for point in line.get_xydata().tolist()] for line in axes.lines}  # type: ignore[union-attr]


def points(axes: Axes) -> dict[str, list[list[float]]]:
    return {str(drawn.get_label()): drawn.get_offsets().tolist() for drawn in axes.collections}  # type: ignore[union-attr]


@pytest.mark.parametrize(("better", "best"), [(max, [50, 70, 70]), (min, [50, 50, 50])])
def test_history_shows_every_trial_and_the_best_so_far(axes: Axes, better: Any, best: list[float]) -> None:
    figures.history(axes, SCORED, "top1", better)
    assert points(axes) == {"complete": [[0, 50], [1, 70], [3, 60]], "pruned": [[2, 10]]}
    assert lines(axes)["best so far"] == list(zip((0, 1, 3), best, strict=True))
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_time_steps_are_in_order_of_its_numbers_with_the_best_of_each(axes: Axes) -> None:
    figures.t_accuracy(axes, SCORED, "top1", max)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "10"]
    assert lines(axes)["best of each T"] == [(1, 70), (2, 50)]
    assert points(axes)["pruned"] == [[0, 10]]


def test_a_line_of_learning_rates_goes_through_complete_trials_only(axes: Axes) -> None:
    figures.lr_accuracy(axes, SCORED, "top1")
    drawn = lines(axes)
    assert (drawn["T=2"], drawn["T=10"]) == ([(0.001, 60), (0.01, 70)], [(0.1, 50)])
    assert drawn["T=1"] == [], "its one trial was stopped"
    assert [(0.3, 10)] in drawn.values()
    assert axes.get_xscale() == "log"


def test_the_front_is_a_step_through_its_trials(axes: Axes) -> None:
    figures.pareto(axes, TRIALS, {1, 3}, ["top1", "energy"])
    assert lines(axes)["front"] == [(2, 60), (4, 70)]
    assert [text.get_text() for text in axes.texts] == ["T=2", "T=2"]
    assert [[3, 50]] in points(axes).values()


def test_importance_has_a_bar_and_a_number_per_parameter(axes: Axes) -> None:
    figures.importance_bars(axes, {"optimizer.lr": 0.75, "T": 0.25})
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["0.75", "0.25"]
    assert axes.yaxis_inverted()


def test_firing_rates_are_written_into_their_cells(axes: Axes) -> None:
    figures.firing_rates(axes, {"a": [0.0, 50.0], "b": [100.0, 12.34]})
    assert [text.get_text() for text in axes.texts] == ["0.0", "50.0", "100.0", "12.3"]


def test_a_study_without_complete_trials_can_be_drawn(axes: Axes) -> None:
    with warnings.catch_warnings(action="error"):
        figures.history(axes, [(STOPPED, 10.0)], "top1", max)
        figures.t_accuracy(axes, [(STOPPED, 10.0)], "top1", max)
        figures.lr_accuracy(axes, [(STOPPED, 10.0)], "top1")
        figures.pareto(axes, TRIALS, set(), ["top1", "energy"])


def test_a_figure_is_written_whole(tmp_path: Path) -> None:
    path = figures.save(tmp_path / "a.png", lambda axes: axes.plot([1, 2]), size=(3, 2))
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (360, 240))

    def fails(axes: Axes) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        figures.save(tmp_path / "b.png", fails)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
