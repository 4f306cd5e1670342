"""The templates of the pages: whole in one file, and safe whatever stands in a name or a note."""

import re
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest

from gacsnn.report.html import render
from gacsnn.report.pages import Cell, Section, Table, Tile, plain

HOSTILE = ['<script>alert("1")</script>', "=1+1", "a & b", "{{ 7 * 7 }}", "'\" onerror=x"]
ALLOWED = {
    *("lang", "charset", "name", "content", "class", "id", "style", "scope", "aria-sort", "type", "tabindex", "data-v"),
    *("aria-label", "role", "href"),
}


class Seen(HTMLParser):
    """Tags, texts and cells as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.cells: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append(dict(attrs))
        assert {name for name, _ in attrs} <= ALLOWED

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def page(**values: Any) -> str:
    table = plain([(text, "1") for text in HOSTILE], ["a", "b"], ["left", "right"])
    filled = {"name": "s", "heading": [], "tiles": [], "sections": [], "figures": [], "importance": "", "shares": []}
    filled |= {"means": None, "mean_notes": [], "trials": table, "provenance": [], "shared": []}
    return render("study.html", **{**filled, **values})


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_notes_are_text_wherever_they_stand(text: str) -> None:
    table = plain([(text,)], [text], ["left"])
    made = page(
        name=text, heading=[text], tiles=[Tile(text, text, text)], sections=[Section(text, table, [text])], shares=[(text, 0.5)],
        importance=text, means=table, mean_notes=[text], trials=table, provenance=[(text, text)], shared=[(text, text)],
    )  # fmt: skip
    seen = Seen(made)
    assert seen.tags.count("script") == 1, "the page's own"
    assert seen.texts.count(text) == 21
    assert made.count("<script") == 1


def test_cells_have_their_alignment_and_what_they_are_sorted_by() -> None:
    row = [Cell("b"), Cell("1 min 23 s", 83.25), Cell("40.0", heat=50)]
    seen = Seen(page(trials=Table(["a", "time", "rate"], ["left", "right", "right"], [row])))
    assert seen.cells == [{}, {"class": "r", "data-v": "83.25"}, {"class": "r", "style": "--heat: 50%"}]


def test_a_mean_with_its_deviation_is_sorted_by_the_mean() -> None:
    assert plain([("96.30 ± 0.25", "n")], ["a", "b"], ["right", "left"]).rows == [
        [Cell("96.30 ± 0.25", 96.3), Cell("n")]
    ]


def test_nothing_is_fetched() -> None:
    assert not re.search(r"https?:|<link|url\(|@import|src=", page())


def test_sections_stand_above_the_figures() -> None:
    table = plain([("GAC beats direct", "supported")], ["claim", "answer"], ["left", "left"])
    seen = Seen(page(sections=[Section("Claims", table, ["3 more seeds"]), Section("Confirmed", None, [])]))
    order = [seen.texts.index(text) for text in ("Claims", "supported", "3 more seeds", "Confirmed", "Trials")]
    assert order == sorted(order)


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("study.html", means=None, name="s")
