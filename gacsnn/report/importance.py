"""The importance of the searched options for the first objective, by fANOVA (Hutter, Hoos and Leyton-Brown, 2014)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from gacsnn.sweep.status import SEED

# Complete trials below which a ranking is left to chance: in all, and for each parameter.
LEAST, LEAST_EACH = 20, 6

# Of the forest. Trees of this depth rank 20 trials as full ones do, and take 1 s for 1,000 trials in place of 20 s.
TREES, DEPTH = 32, 6


@dataclass(frozen=True)
class Importance:
    """The share of each parameter, the largest first; or `missing`, the reason why there are no shares.

    A share is the part of the objective's variance over the search space that the parameter explains by itself. The shares of
    all parameters and of their interactions add up to 1.
    """

    shares: Mapping[str, float]
    trials: int
    missing: str = ""

    def said(self, objective: str) -> str:
        """Return the method and its meaning in one sentence, or why there are no shares."""
        if self.missing:
            return f"There are no shares: {self.missing}."
        return (
            f"A share is the part of the variance of {objective} over the search space that the parameter explains alone "
            f"(fANOVA over the {self.trials:,} complete trials); interactions of parameters explain the rest."
        )


def importance_of(trials: Sequence[FrozenTrial]) -> Importance | None:
    """Return the importance of the parameters that all complete trials have, or None if there is nothing to rank.

    A seed is not ranked. Trials that were stopped or failed are left out, as Optuna's fANOVA leaves them out.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and math.isfinite(trial.values[0])]
    space = common_space(complete)
    if not space:
        return None
    needed = max(LEAST, LEAST_EACH * len(space))
    if len(complete) < needed:
        parameters = "1 parameter needs" if len(space) == 1 else f"{len(space)} parameters need"
        return Importance({}, len(complete), f"too few trials: {len(complete)} complete, {parameters} {needed}")
    if len({trial.values[0] for trial in complete}) == 1:
        return Importance({}, len(complete), f"all {len(complete)} complete trials have the same value")
    even = {name: evened(distribution) for name, distribution in space.items()}
    copy = optuna.create_study()  # in memory; an importance knows no direction
    for trial in complete:
        params = {name: place(distribution, trial.params[name]) for name, distribution in space.items()}
        copy.add_trial(optuna.create_trial(params=params, distributions=even, value=trial.values[0]))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0)
    return Importance({name: float(share) for name, share in evaluator.evaluate(copy).items()}, len(complete))


def common_space(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the parameters, but for a seed, that all trials drew from the same distribution of several values."""
    spaces = [trial.distributions for trial in trials]
    first = spaces[0] if spaces else {}
    return {
        name: distribution
        for name, distribution in first.items()
        if name != SEED and not distribution.single() and all(space.get(name) == distribution for space in spaces)
    }


def evened(distribution: BaseDistribution) -> BaseDistribution:
    """Return a scale on which the search's values lie evenly, each with the same room about it; choices stay choices.

    Optuna's fANOVA weighs a logarithmic parameter as a linear one, and the first and last integer by half.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    room = (distribution.step or 0) / 2
    low, high = distribution.low - room, distribution.high + room
    return FloatDistribution(math.log(low), math.log(high)) if distribution.log else FloatDistribution(low, high)


def place(distribution: BaseDistribution, value: Any) -> Any:
    """Return the place of a value on the scale of `evened`."""
    logarithmic = isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log
    return math.log(value) if logarithmic else value
