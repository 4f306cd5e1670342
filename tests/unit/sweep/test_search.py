"""The search space of a saved sweep and of the command line."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from gacsnn.sweep.compose import merge_overrides
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.search import Search, read_search


def search_of(params: dict[str, Any], *arguments: str) -> Search:
    options = SimpleNamespace(params=params, test="best", rungs=None)
    return read_search(cast("SweepOptions", options), arguments)


CHOICE = CategoricalDistribution((8, 32))
LOGARITHMIC = FloatDistribution(1e-4, 0.1, log=True)


@pytest.mark.parametrize(
    ("saved", "typed", "space"),
    [
        ({"batch_size": 16}, "batch_size=8,32", CHOICE),
        ({"batch_size": 16}, "++batch_size=8,32", CHOICE),
        ({"++batch_size": 16}, "batch_size=8,32", CHOICE),
        ({"batch_size": "interval(8, 32)"}, "batch_size=8,32", CHOICE),
        ({"batch_size": "choice(8, 32)"}, "batch_size=range(8,33,8)", IntDistribution(8, 32, step=8)),
        ({"batch_size": "choice(8, 32)"}, "batch_size=interval(1.0,2.0)", FloatDistribution(1.0, 2.0)),
        ({"batch_size": "choice(8, 32)"}, "batch_size=16", None),
        ({"batch_size": "choice(8, 32)"}, "++batch_size=16", None),
        ({"++batch_size": "choice(8, 32)"}, "batch_size=16", None),
        ({"optimizer.lr": 0.1}, "optimizer.lr=tag(log, interval(1e-4, 1e-1))", LOGARITHMIC),
        ({"optimizer": {"lr": 0.1}}, "optimizer.lr=tag(log, interval(1e-4, 1e-1))", LOGARITHMIC),
        ({"optimizer.lr": "choice(1, 2)"}, "optimizer.lr=0.1", None),
        ({"optimizer.lr": "choice(1, 2)"}, "~optimizer.lr", None),
        ({"encoder": "gac"}, "encoder=gac,direct", CategoricalDistribution(("gac", "direct"))),
        ({"encoder": "choice(gac, direct)"}, "encoder=gac", None),
    ],
)
def test_option_of_a_saved_search_given_on_the_command_line_means_the_command_line(
    saved: dict[str, Any], typed: str, space: object
) -> None:
    search = search_of({"T": "choice(1, 2)", **saved}, typed)
    option = typed.lstrip("+~").partition("=")[0]
    given = {"T": CategoricalDistribution((1, 2)), option: space}
    assert search.space == {name: space for name, space in given.items() if space is not None}
    bare = typed.removeprefix("++")
    assert search.fixed == ("task.test=false", *([bare] if space is None else [])), "each option once"


def test_option_given_twice_on_the_command_line_is_what_came_last() -> None:
    assert search_of({"seed": "choice(0, 1)"}, "T=2", "T=1,4").space["T"] == CategoricalDistribution((1, 4))
    assert search_of({"seed": "choice(0, 1)"}, "T=1,4", "T=2").fixed == ("task.test=false", "T=2")


def test_options_keep_their_order_so_that_the_points_of_a_grid_keep_their_numbers() -> None:
    params = {"T": "choice(1, 2)", "seed": "choice(0, 1)"}
    assert list(search_of(params, "model=resnet8,resnet18", "T=4,6").space) == ["T", "seed", "model"]


def test_nested_and_empty_parameters_are_those_of_the_command_line() -> None:
    assert merge_overrides({"optimizer": {"lr": 0.1}, "limit_train": None}, []) == [
        "optimizer.lr=0.1",
        "limit_train=null",
    ]


def test_merged_overrides_of_one_option_take_the_command_line() -> None:
    merged = merge_overrides({"T": "choice(2,4)", "optimizer": {"lr": 0.1}}, ["++T=range(1,5)", "seed=1"])
    assert merged == ["T=range(1,5)", "optimizer.lr=0.1", "seed=1"]
