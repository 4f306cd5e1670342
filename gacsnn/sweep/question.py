"""The question that a sweep is to answer: `hydra.sweeper.claim`, which stands in the study before its first trial.

    claim: {better: encoder=gac, than: encoder=direct, by: 0.3, on: validation_top1}

What else is searched, but for the seed, is the same on both sides: a claim is one for each combination of it. The answer is
`report/answers.py`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gacsnn.errors import InputError, nearest
from gacsnn.sweep.objectives import HIGHER_IS_BETTER, OBJECTIVES, TESTED
from gacsnn.sweep.points import all_values

KEYS = ("better", "than", "by", "on")


@dataclass(frozen=True)
class Claim:
    """That runs with the options `better` surpass those with `than` by more than `by`, in units of `on`, a key of `result.json`.

    `at`: what both have in common of what is searched. Values are those of the search space.
    """

    better: Mapping[str, Any]
    than: Mapping[str, Any]
    by: float
    on: str
    at: Mapping[str, Any]

    def __str__(self) -> str:
        above = "above" if self.on in HIGHER_IS_BETTER else "below"
        at = f" at {written(self.at)}" if self.at else ""
        return f"{written(self.better)} {above} {written(self.than)} by more than {self.by:g} in {self.on}{at}"

    def sides(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All the options of the two sides, but for the seed."""
        return {**self.at, **self.better}, {**self.at, **self.than}


def written(options: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


def read_claims(given: Any, space: Mapping[str, BaseDistribution], test: str) -> list[Claim]:
    """The claims of `hydra.sweeper.claim`: one, or a list of such; each once for every combination of what else is searched.

    Raises:
        InputError: when a claim is none, or the sweep cannot answer it.
    """
    if given is None:
        return []
    return [claim for one in (given if isinstance(given, list) else [given]) for claim in read_claim(one, space, test)]


def read_claim(given: Any, space: Mapping[str, BaseDistribution], test: str) -> list[Claim]:
    if isinstance(given, Mapping):
        given = {"on" if key is True else key: value for key, value in given.items()}  # as YAML 1.1 reads `on`
    if not isinstance(given, Mapping) or set(given) - {"by"} != set(KEYS) - {"by"}:
        raise InputError(
            f"hydra.sweeper.claim={given}: should be "
            '{better: "encoder=gac", than: "encoder=direct", by: 0.3, on: validation_top1}'
        )
    better, than = (read_side(side, str(given[side]), space) for side in ("better", "than"))
    if set(better) != set(than) or better == than:
        raise InputError(
            f"hydra.sweeper.claim: better={given['better']} and than={given['than']} should give other values to the same options"
        )
    by, on = given.get("by", 0.0), given["on"]
    if isinstance(by, bool) or not isinstance(by, int | float) or not math.isfinite(by):
        raise InputError(f"hydra.sweeper.claim: by={by} should be a number, in units of {on}")
    if on not in (*OBJECTIVES, *TESTED):
        known = f"{nearest(on, (*OBJECTIVES, *TESTED))}; choose of {', '.join((*OBJECTIVES, *TESTED))}"
        raise InputError(f"hydra.sweeper.claim: on={on}: no such figure{known}")
    if on in TESTED and test != "all":
        raise InputError(
            f"hydra.sweeper.claim: on={on} wants the test split of every trial; give hydra.sweeper.test=all"
        )
    if len(seeds_of(space)) < 2:
        raise InputError(
            "hydra.sweeper.claim: is answered seed by seed; search them as well, such as seed: choice(0, 1, 2, 3, 4)"
        )
    others = {name: values_of(name, space[name]) for name in space if name != "seed" and name not in better}
    return [
        Claim(better, than, float(by), on, dict(zip(others, values, strict=True)))
        for values in itertools.product(*others.values())
    ]


def seeds_of(space: Mapping[str, BaseDistribution]) -> Sequence[Any]:
    return values_of("seed", space["seed"]) if "seed" in space else []


def values_of(name: str, distribution: BaseDistribution) -> list[Any]:
    try:
        return all_values(name, distribution)
    except InputError:
        raise InputError(
            f"hydra.sweeper.claim: {name} is continuous, and the same twice for nobody; fix it, or name it on both sides"
        ) from None


def read_side(side: str, text: str, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """`encoder=gac T=4` -> the options, with their values as they are searched."""
    found: dict[str, Any] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(
                f"hydra.sweeper.claim: {side}={text}: should be written as on the command line, such as encoder=gac"
            )
        if name == "seed":
            raise InputError(
                f"hydra.sweeper.claim: {side}={text}: seeds are what is paired; claim something of other options"
            )
        if name not in space:
            raise InputError(
                f"hydra.sweeper.claim: {side}={text}: this sweep does not vary {name}; it searches {', '.join(space)}"
            )
        found[name] = value_in(space[name], value, f"{side}={text}")
    return found


def value_in(distribution: BaseDistribution, text: str, said: str) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        found = [choice for choice in distribution.choices if is_written(choice, text)]
    else:
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        try:
            value: float = int(text) if isinstance(distribution, IntDistribution) else float(text)
        except ValueError:
            value = math.nan
        found = [value] if distribution.low <= value <= distribution.high and distribution._contains(value) else []
    if not found:
        raise InputError(f"hydra.sweeper.claim: {said}: {text} is not searched, but {distribution}")
    return found[0]


def is_written(choice: Any, text: str) -> bool:
    """Whether that is how a choice may be written on the command line: true, 1e-4 and 0.0001."""
    if isinstance(choice, bool):
        return text.lower() == str(choice).lower()
    if isinstance(choice, int | float):
        try:
            return float(text) == choice
        except ValueError:
            return False
    return str(choice) == text


def to_plain(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """As they are kept in a study."""
    return [asdict(claim) for claim in claims]


def from_plain(kept: Sequence[Mapping[str, Any]]) -> list[Claim]:
    return [Claim(**claim) for claim in kept]
