"""Importance of parameters: planted functions whose ranking is known, and trials that are too few for any."""

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from gacsnn.report.importance import importance_of

LR, T, ENCODER = "optimizer.lr", "T", "encoder"
SPACE = {
    LR: FloatDistribution(1e-4, 1e-1, log=True),
    T: IntDistribution(1, 6),
    ENCODER: CategoricalDistribution(("gac", "direct", "poisson")),
}


def trial(params: Mapping[str, Any], value: float, space: Mapping[str, BaseDistribution] = SPACE) -> FrozenTrial:
    distributions = {name: space[name] for name in params}
    return optuna.create_trial(params={**params}, distributions=distributions, value=value)


def drawn(draw: random.Random) -> dict[str, Any]:
    return {LR: 10 ** draw.uniform(-4, -1), T: draw.randint(1, 6), ENCODER: draw.choice(("gac", "direct", "poisson"))}


def planted(name: str, seed: int, count: int = 20) -> list[FrozenTrial]:
    """Trials at random, of which one parameter makes ten times as much difference as the others. Noise is 0.5."""
    draw = random.Random(seed)

    def top1(params: Mapping[str, Any]) -> float:
        rate = (math.log10(params[LR]) + 4) / 3
        parts = {
            LR: -4 * (rate - 0.6) ** 2,
            T: params[T] / 6,
            ENCODER: ("gac", "direct", "poisson").index(params[ENCODER]) / 2,
        }
        return sum(part * (10 if key == name else 1) for key, part in parts.items()) + draw.gauss(0, 0.5)

    settings = [drawn(draw) for _ in range(count)]
    return [trial(params, 60 + top1(params)) for params in settings]


def first(trials: Sequence[FrozenTrial]) -> str:
    found = importance_of(trials)
    assert found is not None
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    return next(iter(found.shares))


@pytest.mark.parametrize("name", [LR, T, ENCODER])
@pytest.mark.parametrize("seeds", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_importance_of_20_trials_ranks_the_planted_parameter_first(name: str, seeds: int) -> None:
    right = sum(first(planted(name, seed)) == name for seed in range(seeds))
    assert right >= 0.95 * seeds


def test_importance_of_a_grid_with_seeds_shows_the_encoder_and_not_t() -> None:
    """The case of digits that PED-ANOVA showed as 0.50 and 0.50: the encoder is worth 3 points, T a few tenths."""
    space = {
        ENCODER: CategoricalDistribution(("gac", "direct")),
        T: CategoricalDistribution((1, 2, 4, 6)),
        "seed": IntDistribution(0, 4),
    }
    draw = random.Random(0)
    trials = [
        trial(
            {ENCODER: encoder, T: steps, "seed": seed},
            93 + 3 * (encoder == "gac") + 0.1 * steps + draw.gauss(0, 0.4),
            space,
        )
        for encoder, steps, seed in itertools.product(("gac", "direct"), (1, 2, 4, 6), range(5))
    ]
    found = importance_of(trials)
    assert found is not None
    assert list(found.shares) == [ENCODER, T]  # a seed is not ranked
    assert found.shares[ENCODER] > 0.8
    assert found.shares[T] < 0.1


def test_importance_of_a_logarithmic_option_weighs_its_decades_alike() -> None:
    """Half of the decades fail. On a linear scale they are 3 % of the axis, and the share of `other` would be the larger one."""
    space = {LR: FloatDistribution(1e-4, 1e-1, log=True), "other": FloatDistribution(0, 1)}
    draw = random.Random(0)
    settings = [{LR: 10 ** draw.uniform(-4, -1), "other": draw.random()} for _ in range(40)]
    trials = [trial(p, 5 * (p[LR] > 3e-3) + 4 * p["other"], space) for p in settings]
    found = importance_of(trials)
    assert found is not None
    assert list(found.shares) == [LR, "other"]
    assert found.shares[LR] == pytest.approx(6.25 / (6.25 + 4 / 3), abs=0.08)  # variances of a step and of a slope


def test_importance_of_integers_weighs_the_first_and_the_last_as_the_others() -> None:
    """Of three values one differs, the first: variance 2/9 of its step, and 3/16 if the ends weighed half. A slope: 1/12."""
    space = {T: IntDistribution(1, 3), "slope": FloatDistribution(0, 1)}
    draw = random.Random(0)
    settings = [{T: 1 + index % 3, "slope": draw.random()} for index in range(90)]
    found = importance_of([trial(p, 2 * (p[T] == 1) + p["slope"], space) for p in settings])
    assert found is not None
    assert found.shares[T] == pytest.approx(8 / 9 / (8 / 9 + 1 / 12), abs=0.01)


@pytest.mark.parametrize(
    ("names", "count", "said"),
    [
        ((T,), 19, "too few trials: 19 complete, 1 parameter needs 20"),
        ((LR, T, ENCODER), 19, "too few trials: 19 complete, 3 parameters need 20"),
        ((LR, T, ENCODER, "model.width"), 23, "too few trials: 23 complete, 4 parameters need 24"),
        ((LR, T, ENCODER, "model.width"), 24, ""),
    ],
)
def test_importance_of_too_few_trials_says_how_many_it_needs(names: Sequence[str], count: int, said: str) -> None:
    space = {**SPACE, "model.width": FloatDistribution(0.1, 1)}
    draw = random.Random(0)
    settings = [{**drawn(draw), "model.width": draw.uniform(0.1, 1)} for _ in range(count)]
    trials = [trial({name: params[name] for name in names}, index, space) for index, params in enumerate(settings)]
    pruned = [optuna.create_trial(state=TrialState.PRUNED, params={}, distributions={}) for _ in range(30)]
    found = importance_of([*trials, *pruned])  # those that were stopped do not count
    assert found is not None
    assert found.missing == said
    assert bool(found.shares) == (not said)


def test_importance_leaves_out_options_that_some_trials_lack_and_values_that_do_not_vary() -> None:
    space = {**SPACE, "epochs": IntDistribution(5, 5)}
    draw = random.Random(0)
    settings = [drawn(draw) | {"epochs": 5} for _ in range(30)]
    for params in settings[::2]:
        del params[ENCODER]
    found = importance_of([trial(params, params[T], space) for params in settings])
    assert found is not None
    assert sorted(found.shares) == [T, LR]


@pytest.mark.parametrize(
    ("trials", "missing"),
    [
        ([], None),
        ([trial({}, 1.0)] * 30, None),
        ([trial({T: 1 + n % 6}, 50.0) for n in range(30)], "all 30 complete trials have the same value"),
        ([trial({T: 1 + n % 6}, math.inf) for n in range(30)], None),
    ],
)
def test_importance_without_variation_gives_no_shares(trials: list[FrozenTrial], missing: str | None) -> None:
    found = importance_of(trials)
    assert (found and found.missing) == missing


def test_importance_is_the_same_at_every_look() -> None:
    trials = planted(T, 0)
    assert importance_of(trials) == importance_of(trials)
    assert importance_of(trials[::-1]) is not None


@pytest.mark.parametrize("change", [lambda value: value, lambda value: -value])
def test_importance_knows_no_direction(change: Callable[[float], float]) -> None:
    trials = [trial(one.params, change(one.values[0])) for one in planted(ENCODER, 1)]
    assert first(trials) == ENCODER


def test_importance_does_without_torch() -> None:
    code = "import sys, gacsnn.report.study, optuna.importance._fanova; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
