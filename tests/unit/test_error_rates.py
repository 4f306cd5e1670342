"""The error rates that docs/sweeps.md promises of claims, counted in simulated studies.

A study here is a family of claims over the same seeds. Its figures are rounded to a grid, as a top-1 on few images is, so that
differences are often all the same.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import create_trial

from gacsnn.report.answers import Answer, answers
from gacsnn.statistics import holm, paired, verdict
from gacsnn.sweep.question import read_claims, to_plain

# True differences beyond the margin that is claimed, in deviations of a run; the seeds; and the grid of the figures (0: none).
STUDIES = {
    "no effect": ([0.0], 5, 0.0),
    "no effect, two seeds": ([0.0], 2, 0.0),
    "no effect, three seeds": ([0.0], 3, 0.0),
    "no effect, many equal differences": ([0.0], 3, 1.0),
    "no effect, nearly all differences equal": ([0.0], 4, 4.0),
    "a small effect": ([0.3], 5, 0.0),
    "a small effect, the other way": ([-0.3], 5, 0.0),
    "four claims without effect": ([0.0] * 4, 5, 0.0),
    "four claims, two of them true": ([1.5, 1.5, 0.0, -0.3], 5, 0.0),
    "four claims with equal differences": ([0.0, 0.0, 0.5, -0.5], 4, 1.0),
}
MARGIN = 1.0


def verdicts(draw: np.random.Generator, effects: Sequence[float], seeds: int, grid: float) -> list[str]:
    """The verdicts of one study, as `answers` makes them."""
    pairs = []
    for effect in effects:
        sides = draw.normal([90 + MARGIN + effect, 90], 1.0, (seeds, 2))
        better, than = (np.round(sides / grid) * grid if grid else sides).T
        pairs.append(paired(dict(enumerate(better.tolist())), dict(enumerate(than.tolist())), MARGIN))
    above, below = (holm([getattr(pair, side) for pair in pairs]) for side in ("p_t", "p_below"))
    return [verdict(p, p_below) for p, p_below in zip(above, below, strict=True)]


def most(rate: float, count: int) -> float:
    """The rate that 1 of 1,000 counts exceeds by chance."""
    return rate + 3.1 * math.sqrt(rate * (1 - rate) / count)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_wrong_answers_of_simulated_studies_stay_within_the_promised_rates(name: str, count: int) -> None:
    effects, seeds, grid = STUDIES[name]
    draw = np.random.default_rng(sum(map(ord, name)))
    supported = refuted = either = 0
    for _ in range(count):
        found = list(zip(verdicts(draw, effects, seeds, grid), effects, strict=True))
        wrong = [answer == "supported" and effect <= 0 for answer, effect in found]
        wrongly_refuted = [answer == "refuted" and effect >= 0 for answer, effect in found]
        supported, refuted = supported + any(wrong), refuted + any(wrongly_refuted)
        either += any(wrong) or any(wrongly_refuted)
    rates = (supported / count, refuted / count, either / count)
    print(f"{name}: wrongly supported {rates[0]:.3f}, wrongly refuted {rates[1]:.3f}, either {rates[2]:.3f}")
    assert rates[0] <= most(0.05, count)
    assert rates[1] <= most(0.025, count)
    assert rates[2] <= most(0.075, count)


@pytest.mark.parametrize("name", ["no effect", "four claims without effect"])
def test_wrong_answers_without_effect_are_no_rarer_than_promised(name: str) -> None:
    """A test that never decides would keep every rate. That of one claim is 5 % exactly; of four, Holm keeps it just below."""
    effects, seeds, grid = STUDIES[name]
    draw = np.random.default_rng(1)
    found = sum("supported" in verdicts(draw, effects, seeds, grid) for _ in range(200))
    assert found >= 200 * 0.05 - 3.1 * math.sqrt(200 * 0.05 * 0.95)


def study_of(better: Sequence[float], than: Sequence[float], by: float) -> list[Answer]:
    space = {"encoder": CategoricalDistribution(("gac", "direct")), "seed": IntDistribution(0, 99)}
    study = optuna.create_study(direction="maximize")
    claim = {"better": "encoder=gac", "than": "encoder=direct", "by": by, "on": "validation_top1"}
    study.set_user_attr("claims", to_plain(read_claims(claim, space, "best")))
    for encoder, values in (("gac", better), ("direct", than)):
        for seed, value in enumerate(values):
            study.add_trial(create_trial(params={"encoder": encoder, "seed": seed}, distributions=space, value=value))
    return answers(study, study.trials, ["validation_top1"], Path("nowhere"))


@pytest.mark.parametrize("by", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_that_excludes_the_margin_never_stands_beside_a_large_p(by: float, sign: int) -> None:
    """One that leaves out `by` is decided at 2.5 % on one side, and that side's p stands in the table."""
    draw = np.random.default_rng(3)
    excluded = 0
    for _ in range(15):
        figures = draw.normal(90, 1, (2, 4)) + np.array([[by + sign], [0]])
        (answer,) = study_of(*figures.tolist(), by)
        low, _, high = answer.cells()[3].partition(" to ")
        p_t, p_flips, p_holm = map(float, answer.cells()[5:])
        if not float(low) <= by <= float(high):
            excluded += 1
            assert p_t < 0.025
            assert p_flips == 1 / 16  # the least of four pairs
        assert p_holm == p_t <= 0.5
    assert excluded


@pytest.mark.parametrize(("seeds", "p"), [(2, 0.25), (5, 0.03125), (6, 0.015625)])
@pytest.mark.parametrize("difference", [0.5, -0.5])
def test_equal_differences_show_no_interval_and_the_p_of_their_side(seeds: int, p: float, difference: float) -> None:
    than = [90.0 + seed for seed in range(seeds)]
    (answer,) = study_of([value + difference for value in than], than, 0.0)
    _, _, mean, between, n, p_t, p_flips, p_holm = answer.cells()
    assert (float(mean), between, int(n)) == (difference, "", seeds)
    assert float(p_t) == float(p_flips) == float(p_holm) == pytest.approx(p, rel=1e-2)
    assert answer.verdict == ("undecided" if p > (0.05 if difference > 0 else 0.025) else answer.verdict)
    assert any("all" in note and "differences are the same" in note for note in answer.notes())


@pytest.mark.parametrize("seed", range(20))
def test_holm_agrees_with_its_definition(seed: int) -> None:
    """A claim is found iff its p and all smaller ones pass alpha / (number of those that are left)."""
    draw = np.random.default_rng(seed)
    ps = (draw.uniform(0, 1, 6) ** 3).tolist()
    for alpha in (0.01, 0.05, 0.3):
        ordered = sorted(ps)
        passing = [p <= alpha / (len(ps) - place) for place, p in enumerate(ordered)]
        rejected = set(ordered[: passing.index(False)] if False in passing else ordered)
        assert {p for p, corrected in zip(ps, holm(ps), strict=True) if corrected <= alpha} == rejected
