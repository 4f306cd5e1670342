"""Claims as they are read: what they say, for how many settings each, and which cannot be answered."""

from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gacsnn.errors import InputError
from gacsnn.sweep.question import from_plain, read_claims, to_plain

SPACE: dict[str, BaseDistribution] = {
    "encoder": CategoricalDistribution(["gac", "direct"]),
    "T": IntDistribution(2, 6, step=2),
    "seed": CategoricalDistribution([0, 1, 2]),
}
CLAIM = {"better": "encoder=gac", "than": "encoder=direct", "by": 0.3, "on": "validation_top1"}


def test_a_claim_is_one_for_each_setting_of_what_else_is_searched() -> None:
    claims = read_claims(CLAIM, SPACE, "best")
    assert [claim.at for claim in claims] == [{"T": 2}, {"T": 4}, {"T": 6}]
    assert str(claims[1]) == "encoder=gac above encoder=direct by more than 0.3 in validation_top1 at T=4"
    assert claims[1].sides() == ({"T": 4, "encoder": "gac"}, {"T": 4, "encoder": "direct"})
    assert from_plain(to_plain(claims)) == claims


def test_options_named_on_both_sides_are_no_longer_free() -> None:
    (claim,) = read_claims({**CLAIM, "better": "encoder=gac T=2", "than": "encoder=direct T=4"}, SPACE, "best")
    assert (claim.at, claim.better, claim.than) == (
        {},
        {"encoder": "gac", "T": 2},
        {"encoder": "direct", "T": 4},
    )


def test_without_by_any_advance_counts_and_of_energy_less_is_better() -> None:
    given = {key: value for key, value in CLAIM.items() if key != "by"} | {"on": "energy_mj"}
    assert str(read_claims([given], {**SPACE, "T": IntDistribution(2, 2)}, "best")[0]) == (
        "encoder=gac below encoder=direct by more than 0 in energy_mj at T=2"
    )


def test_yaml_reads_on_as_true() -> None:
    assert read_claims({True if key == "on" else key: value for key, value in CLAIM.items()}, SPACE, "best")


@pytest.mark.parametrize(
    ("choices", "better", "than", "read"),
    [((True, False), "true", "False", (True, False)), ((1e-4, 1e-3), "1e-4", "0.001", (1e-4, 1e-3))],
)
def test_values_are_written_as_on_the_command_line(
    choices: tuple[Any, ...], better: str, than: str, read: tuple[Any, Any]
) -> None:
    space = {"x": CategoricalDistribution(choices), "seed": SPACE["seed"]}
    (claim,) = read_claims({**CLAIM, "better": f"x={better}", "than": f"x={than}"}, space, "best")
    assert (claim.better["x"], claim.than["x"]) == read


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"better": "optimizer.lr=0.1"}, "this sweep does not vary optimizer.lr; it searches encoder, T, seed"),
        ({"better": "encoder=poisson"}, "poisson is not searched"),
        ({"better": "encoder=gac T=3"}, "3 is not searched"),
        ({"better": "encoder=gac T=four"}, "four is not searched"),
        ({"better": "gac"}, "should be written as on the command line"),
        ({"better": "encoder=direct"}, "should give other values to the same options"),
        ({"better": "T=2"}, "should give other values to the same options"),
        ({"better": "seed=1", "than": "seed=2"}, "seeds are what is paired"),
        ({"by": "much"}, "should be a number"),
        ({"by": float("nan")}, "should be a number"),
        ({"on": "validation_top"}, "no such figure, did you mean validation_top1?"),
        ({"on": "top1"}, "hydra.sweeper.test=all"),
        ({"an": "more"}, "should be {better:"),
    ],
)
def test_wrong_claims_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=r"hydra\.sweeper\.claim") as caught:
        read_claims({**CLAIM, **change}, SPACE, "best")
    assert said in str(caught.value)


@pytest.mark.parametrize("given", ["encoder=gac", [CLAIM, 3], {"better": "encoder=gac"}])
def test_what_is_no_claim_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match=r"should be \{better:"):
        read_claims(given, SPACE, "best")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": CategoricalDistribution([0])}, "answered seed by seed"),
        ({"optimizer.lr": FloatDistribution(0.01, 0.1)}, "optimizer.lr is continuous"),
        ({"seed": FloatDistribution(0, 1)}, "seed is continuous"),
    ],
)
def test_a_sweep_that_cannot_answer_is_refused(other: dict[str, BaseDistribution], said: str) -> None:
    with pytest.raises(InputError, match=r"hydra\.sweeper\.claim") as caught:
        read_claims(CLAIM, {**SPACE, **other}, "best")
    assert said in str(caught.value)


def test_without_seeds_there_is_no_answer() -> None:
    with pytest.raises(InputError, match="answered seed by seed"):
        read_claims(CLAIM, {"encoder": SPACE["encoder"]}, "best")
