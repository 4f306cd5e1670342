"""The page of a study: whole in one file, and safe whatever stands in a name or a note."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest

from gacsnn.report.html import render

HOSTILE = ['<script>alert("1")</script>', "=1+1", "a & b", "{{ 7 * 7 }}", "'\" onerror=x"]


class Seen(HTMLParser):
    """Tags, texts and attributes as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.sources: list[str] = []
        self.classes: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        if tag == "td":
            self.classes += [value or "" for name, value in attrs if name == "class"]
        assert {name for name, _ in attrs} <= {"lang", "charset", "class", "alt", "src"}

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def page(**values: Any) -> str:
    cells = [(text, "1") for text in HOSTILE]
    filled = {"name": "s", "heading": [], "figures": [], "shares": [], "trials": (cells, ["a", "b"], ["left", "right"])}
    return render("study.html", means=None, **{**filled, **values})


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_notes_are_text_wherever_they_stand(text: str) -> None:
    made = page(name=text, heading=[text], shares=[(text, "0.5")], trials=([(text,)], [text], ["left"]))
    seen = Seen(made)
    assert "script" not in seen.tags
    assert seen.texts.count(text) == 6  # title, h1, p, share, header, cell
    assert "<script" not in made


def test_rows_and_alignment_are_those_given() -> None:
    seen = Seen(page())
    assert [text for text in seen.texts if text in HOSTILE] == HOSTILE
    assert seen.classes == ["left", "right"] * len(HOSTILE)


def test_figures_are_inside_and_nothing_is_fetched(tmp_path: Path) -> None:
    figure = tmp_path / "history.png"
    figure.write_bytes(bytes(range(256)))
    made = page(figures=[figure])
    (source,) = Seen(made).sources
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == bytes(range(256))
    assert not re.search(r"https?:|<link|url\(", made)


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("study.html", means=None, name="s")
