"""JSON that we write is valid, and JSON of earlier versions is read."""

import json
import math

from gacsnn.config.text import from_json, to_json


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_numbers_that_are_not_finite_are_written_as_null() -> None:
    value = {"a": math.nan, "b": [1.5, -math.inf, {"c": (math.inf, 2)}], "d": "NaN", "e": True, "f": None}
    text = to_json(value, indent=2)
    assert json.loads(text, parse_constant=refuse) == {
        "a": None, "b": [1.5, None, {"c": [None, 2]}], "d": "NaN", "e": True, "f": None,
    }  # fmt: skip


def test_json_of_an_earlier_version_with_nan_is_read_as_null() -> None:
    content = '{"a": NaN, "b": [Infinity, -Infinity, 1], "c": "NaN"}'
    assert from_json(content) == {"a": None, "b": [None, None, 1], "c": "NaN"}
