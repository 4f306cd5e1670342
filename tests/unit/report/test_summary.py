"""The closing summary's lines of silent and saturated layers."""

from typing import Any

from gacsnn.report.summary import extreme


def places(layer: str, *steps: int) -> list[dict[str, Any]]:
    return [{"layer": layer, "step": step, "rate": 0.0} for step in steps]


def test_layers_that_are_silent_at_all_steps_come_first_then_those_that_must_be() -> None:
    result = {
        "T": 2,
        "silent": [*places("c", 2), *places("a", 1), *places("b", 1, 2)],
        "silent_by_construction": places("a", 1),
        "saturated": [],
    }
    assert extreme(result, "silent") == "b (all steps), a (t=1, by construction), c (t=2)"
    assert extreme(result, "saturated") is None
    assert extreme({**result, "saturated": places("d", 1, 2)}, "saturated") == "d (all steps)"


def test_one_that_is_silent_at_more_steps_than_it_must_be_is_no_construction() -> None:
    result = {"T": 3, "silent": places("a", 1, 2), "silent_by_construction": places("a", 1)}
    assert extreme(result, "silent") == "a (t=1, 2)"


def test_a_handful_is_named_and_the_rest_counted() -> None:
    result = {"T": 2, "silent": [place for layer in "abcdefg" for place in places(layer, 2)]}
    assert extreme(result, "silent") == "a (t=2), b (t=2), c (t=2), d (t=2), and 3 more"


def test_a_result_of_an_older_version_says_nothing_of_it() -> None:
    assert extreme({"T": 2}, "silent") is None
