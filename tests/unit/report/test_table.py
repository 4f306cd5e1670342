"""Rows of cells as text and as csv."""

import csv
from pathlib import Path

import pytest

from gacsnn.report.table import Style, numbers, text, write_csv

HEADERS = ["name", "value"]
ROWS = [("1e3", "007"), ("=1+1", "1_000"), ("a longer name", "-")]


def test_columns_are_aligned_and_nothing_is_padded_beyond_its_widest_cell() -> None:
    assert text(ROWS, HEADERS, ["left", "right"]) == [
        "name           value",
        "1e3              007",
        "=1+1           1_000",
        "a longer name      -",
    ]


def test_an_empty_last_column_leaves_no_blanks_at_the_end() -> None:
    assert text([("a", ""), ("b", "note")], HEADERS, ["left", "left"]) == ["name  value", "a", "b     note"]


def test_a_line_break_in_a_cell_does_not_break_the_row() -> None:
    assert text([("first\nsecond", "1")], HEADERS, ["left", "right"])[1:] == ["first second      1"]


@pytest.mark.parametrize("style", ["plain", "github", "latex_booktabs"])
def test_every_cell_is_shown_as_it_is_in_every_style(style: Style) -> None:
    made = "\n".join(text(ROWS, HEADERS, ["left", "right"], style)).replace("\\_", "_")
    assert all(cell in made for row in ROWS for cell in row)
    made = "\n".join(text([("1e3", "007"), ("1_0", "1.50")], HEADERS, ["left", "right"], style)).replace("\\_", "_")
    assert all(cell in made for cell in ("1e3", "007", "1_0", "1.50")), "a column of what look like numbers"


def test_markdown_keeps_the_alignment_and_escapes_what_parts_its_cells() -> None:
    head, rule, row = text([("a|b", "1")], HEADERS, ["left", "right"], "github")
    assert [part.strip() for part in head.strip("|").split("|")] == HEADERS
    left, right = rule.strip("|").split("|")
    assert left.startswith(":")
    assert right.endswith(":")
    assert r"a\|b" in row


def test_latex_escapes_its_own_signs() -> None:
    lines = text([("50 % & more_", "1")], HEADERS, ["left", "right"], "latex_booktabs")
    assert lines[:2] == [r"\begin{tabular}{lr}", r"\toprule"]
    assert any(r"50 \% \& more\_" in line for line in lines)


@pytest.mark.parametrize("style", ["plain", "github"])
def test_a_table_may_have_no_rows(style: Style) -> None:
    assert [name in text([], HEADERS, ["left", "right"], style)[0] for name in HEADERS] == [True, True]
    assert text([], [], [], style) == []


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([1, None, 12], ["1", "", "12"]),
        ([12345678901234567890], ["12345678901234567890"]),
        ([98.888889, 7.5, 100.0, None], ["98.89", "7.50", "100.00", ""]),
        ([0.0, 0.1], ["0.0", "0.1"]),
        ([0.5, 1], ["0.5", "1.0"]),
        ([0.0, 0.0], ["0", "0"]),
        ([0.1, 0.01, 0.001], ["1e-01", "1e-02", "1e-03"]),
        ([0.00643117, 0.0828043], ["6.431e-03", "8.280e-02"]),
        ([2.5e6, 3.0], ["2.5e+06", "3.0e+00"]),
        ([-0.25, 0.123456], ["-0.2500", "0.1235"]),
        ([float("nan"), float("inf"), 0.5], ["nan", "inf", "0.5"]),
    ],
)
def test_numbers_of_a_column_share_notation_and_digits(values: list[float | None], cells: list[str]) -> None:
    assert numbers(values) == cells


def test_csv_holds_numbers_in_full_and_nothing_for_none(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["a", "b,c"], [(0.1 + 0.2, None), (1e-300, 'say "so"')])
    assert (tmp_path / "t.csv").read_bytes() == b'a,"b,c"\n0.30000000000000004,\n1e-300,"say ""so"""\n'
    with (tmp_path / "t.csv").open(newline="") as file:
        assert float(next(csv.DictReader(file))["a"]) == 0.1 + 0.2
