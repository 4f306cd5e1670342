"""Points of a search space: its ends, and all of a grid; and a space in words."""

import ast
import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gacsnn.errors import InputError

SEARCH_OF = "search of "  # what begins the name of a searched option in a study's identity


def endpoints(distribution: BaseDistribution) -> list[Any]:
    """All choices of a few, the two ends of a range."""
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        return choices if len(choices) <= 12 else [choices[0], choices[-1]]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


def all_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """Every value of a discrete distribution.

    Raises:
        InputError: for a continuous one.
    """
    return [value_at(distribution, index) for index in range(count_of(name, distribution))]


def count_of(name: str, distribution: BaseDistribution) -> int:
    """How many values a discrete distribution has, which may be more than a list can hold."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        raise InputError(f"hydra.sweeper.params: {name} is continuous, and a grid needs choices or steps")
    return round((distribution.high - distribution.low) / distribution.step) + 1


def value_at(distribution: BaseDistribution, index: int) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    assert distribution.step is not None
    return distribution.low + index * distribution.step


def grid_size(space: Mapping[str, BaseDistribution]) -> int:
    return math.prod(count_of(name, distribution) for name, distribution in space.items())


def grid_point(space: Mapping[str, BaseDistribution], index: int) -> dict[str, Any]:
    """The index-th point of the grid, the last option the fastest."""
    point = {}
    for name, distribution in reversed(list(space.items())):
        index, place = divmod(index, count_of(name, distribution))
        point[name] = value_at(distribution, place)
    return point


def in_words(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a study says of its trials, with its distributions, which it keeps in Optuna's notation, as one would say them."""
    return {
        name: described(value) if name.startswith(SEARCH_OF) and isinstance(value, str) else value
        for name, value in identity.items()
    }


def described(distribution: str) -> str:
    """`FloatDistribution(high=0.1, log=True, low=0.001, step=None)` -> `0.001 to 0.1, logarithmic`."""
    try:
        call = ast.parse(distribution, mode="eval").body
        given = {each.arg: ast.literal_eval(each.value) for each in getattr(call, "keywords", ())}
    except (SyntaxError, ValueError):
        return distribution
    if "choices" in given:
        return f"one of {', '.join(map(str, given['choices']))}"
    if not {"low", "high"} <= given.keys():
        return distribution
    step = f" in steps of {given['step']}" if given.get("step") is not None else ""
    return f"{given['low']} to {given['high']}{step}{', logarithmic' if given.get('log') else ''}"
