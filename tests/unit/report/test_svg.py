"""A chart as SVG: where its points land, what joins them, and that text stays text."""

import math
import re
from xml.etree import ElementTree

import pytest

from gacsnn.report.chart import Axis, Chart, Series
from gacsnn.report.svg import COLOURS, FILLED, MANY, MARKERS, WIDTH, draw

SVG = "{http://www.w3.org/2000/svg}"


def chart(*series: Series, x: Axis | None = None, y: Axis | None = None) -> Chart:
    return Chart("name", "Title", x or Axis("across"), y or Axis("up"), series, "a file")


def drawn(*series: Series, **axes: Axis) -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart(*series, **axes), alone=True))


def starts(root: ElementTree.Element, kind: str = "mark") -> list[tuple[float, float]]:
    """Where the parts of all paths of a kind within series begin."""
    paths = [
        path.get("d", "")
        for group in root.iter(f"{SVG}g")
        if "series" in group.get("class", "")
        for path in group.iter(f"{SVG}path")
        if path.get("class") == kind
    ]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path)]


@pytest.mark.parametrize("marker", MARKERS)
def test_points_are_in_proportion(marker: str) -> None:
    (x0, y0), (x1, y1), (x2, y2) = starts(drawn(Series("a", [(0, 0), (1, 10), (4, 30)], marker=marker)))
    assert (x2 - x0) == pytest.approx(4 * (x1 - x0), abs=0.5)
    assert (y0 - y2) == pytest.approx(3 * (y0 - y1), abs=0.5)
    assert 0 < x0 < x2 < WIDTH
    assert y2 < y0, "up is more"


def test_a_logarithmic_axis_gives_each_power_the_same_room() -> None:
    (x0, _), (x1, _), (x2, _) = starts(
        drawn(Series("a", [(1e-3, 1), (1e-2, 1), (1e-1, 2)], marker="circle"), x=Axis("", log=True))
    )
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)


def test_only_what_is_joined_has_a_line_and_a_gap_parts_it() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (0.0, math.nan), (2.0, 3.0), (3.0, 1.0)]
    assert starts(drawn(Series("a", [(0, 1), (1, 2)], marker="circle")), "line") == []
    joined = drawn(Series("a", points, joined="line"))
    assert len(starts(joined, "line")) == 2
    assert starts(joined, "mark") == []
    (steps,) = [
        path.get("d", "")
        for path in drawn(Series("a", [(0, 1), (1, 2)], joined="step")).iter(f"{SVG}path")
        if path.get("class") == "line"
    ][:1]
    assert re.fullmatch(r"M[\d.]+ [\d.]+H[\d.]+V[\d.]+", steps)


def test_a_line_through_one_point_is_a_dot() -> None:
    one = drawn(Series("a", [(1, 50)], joined="line"), Series("b", [(1, 60), (2, 70)], joined="line"))
    assert len(starts(one, "mark")) == 1


def test_a_band_goes_up_one_edge_and_back_the_other() -> None:
    root = drawn(Series("a", [(0, 5), (1, 6)], joined="line", band=[(0, 4, 7), (1, 5, 8)]))
    (band,) = [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "band"][:1]
    places = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", band)]
    (left_high, right_high, right_low, left_low) = places
    assert left_high[0] == left_low[0] < right_high[0] == right_low[0]
    assert left_high[1] < left_low[1]
    assert right_high[1] < right_low[1]


def test_few_points_say_what_they_are_and_many_are_one_path() -> None:
    few = drawn(Series("a", [(0, 1), (1, 2)], marker="circle", tips=["<first>", "second"]))
    assert [title.text for title in few.iter(f"{SVG}title")] == ["<first>", "second"]
    many = [(float(i), float(i % 7)) for i in range(MANY + 1)]
    root = drawn(Series("a", many, marker="circle", tips=["x"] * len(many)))
    assert not list(root.iter(f"{SVG}title"))
    assert len(starts(root)) == len(many)


def test_groups_are_told_apart_by_colour_and_by_marker_or_dashes() -> None:
    series = [
        Series(str(index), [(0, index), (1, index + 1)], index, marker, "line") for index, marker in enumerate(FILLED)
    ]
    root = drawn(*series)
    lines = [path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    assert len({line.get("stroke-dasharray") for line in lines}) == len(FILLED)
    colours = [group.get("color") for group in root.iter(f"{SVG}g") if "key" in group.get("class", "")]
    assert colours == list(COLOURS[: len(FILLED)])
    assert [MARKERS[entry.marker](3.0) for entry in series].count("h0") == 2, "dots of a round pen, and of a square one"
    caps = {path.get("stroke-linecap") for path in root.iter(f"{SVG}path") if path.get("class") == "mark"}
    assert caps == {"round", "square", None}
    assert len({MARKERS[marker](3.0) for marker in FILLED}) == 3


def test_text_is_text_in_title_axes_legend_and_tips() -> None:
    bad = '<script>alert("1")</script>&'
    made = draw(
        Chart(
            "n",
            bad,
            Axis(bad, names=[bad, "b"]),
            Axis(bad),
            [Series(bad, [(0, 1)], marker="circle", tips=[bad]), Series("b", [(1, 2)])],
            "s",
        ),
        alone=True,
    )
    assert "<script" not in made
    texts = [element.text for element in ElementTree.fromstring(made).iter() if element.text and bad in element.text]
    assert len(texts) == 6  # title, three of the axes, a tip, the legend


def test_in_a_page_it_names_no_address() -> None:
    assert "http" not in draw(chart(Series("a", [(0, 1)], marker="circle")))
