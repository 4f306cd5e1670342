"""The scales of a figure: its ends and its ticks."""

import math

import pytest

from gacsnn.report.chart import Axis, span, ticks


@pytest.mark.parametrize(
    ("low", "high", "axis", "expected"),
    [
        (0, 100, Axis(""), ["0", "20", "40", "60", "80", "100"]),
        (-0.3, 0.32, Axis(""), ["-0.2", "0.0", "0.2"]),
        (0.9, 3.1, Axis("", whole=True), ["1", "2", "3"]),
        (0, 5000, Axis("", whole=True), ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]),
        (2e-6, 6e-6, Axis(""), ["2e-06", "3e-06", "4e-06", "5e-06", "6e-06"]),
        (-4, -1, Axis("", log=True), ["0.0001", "0.001", "0.01", "0.1"]),
        (math.log10(0.9), math.log10(6), Axis("", log=True), ["1", "2", "3", "5"]),
        (-0.5, 2.5, Axis("", names=["1", "2", "10"]), ["1", "2", "10"]),
    ],
)
def test_ticks_are_round_numbers_and_named_as_such(low: float, high: float, axis: Axis, expected: list[str]) -> None:
    found = ticks(low, high, axis)
    assert [text for _, text in found] == expected
    assert all(low - 1e-9 <= place <= high + 1e-9 for place, _ in found)
    if not axis.names:
        values = [10**place if axis.log else place for place, _ in found]
        assert values == pytest.approx([float(text.replace(",", "")) for text in expected])


@pytest.mark.parametrize("axis", [Axis(""), Axis("", log=True), Axis("", whole=True)])
@pytest.mark.parametrize("values", [[0.5], [1e-9, 1e-9], [3.0, 7000.0], [250000.0]])
def test_all_values_lie_within_an_axis_that_has_ticks(values: list[float], axis: Axis) -> None:
    low, high = span(values, axis)
    places = [math.log10(value) if axis.log else value for value in values]
    assert low < min(places) <= max(places) < high
    assert ticks(low, high, axis)


def test_an_axis_of_many_names_shows_some() -> None:
    axis = Axis("", names=[str(value) for value in range(40)])
    assert [text for _, text in ticks(*span([], axis), axis)] == [str(value) for value in range(0, 40, 4)]
