"""Points of a search space: its ends, and all of a grid."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gacsnn.errors import InputError


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
