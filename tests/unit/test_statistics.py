"""Intervals and tests of paired differences, against scipy's and against what they should say of known draws."""

import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gacsnn.statistics import flip_test, holm, interval, paired, seeds_to_decide, t_test, verdict

VALUES = st.lists(st.floats(-10, 10).map(lambda x: round(x, 2)), min_size=2, max_size=8)


@given(VALUES)
def test_the_interval_is_students(values: list[float]) -> None:
    low, high = interval(values)
    if statistics.stdev(values) == 0:
        assert (low, high) == pytest.approx((values[0], values[0]))
    else:
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)
    assert all(map(math.isnan, interval(values[:1])))


@settings(deadline=None)
@given(VALUES)
def test_the_tests_are_scipys(values: list[float]) -> None:
    if statistics.stdev(values) > 0:
        assert t_test(values) == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue, abs=1e-9)
    exact = stats.permutation_test(
        (np.array(values),), np.sum, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert flip_test(values) == pytest.approx(exact.pvalue, abs=1e-9)


def test_many_pairs_are_flipped_at_random_and_agree_with_all_flips() -> None:
    generator = random.Random(1)
    values = [generator.gauss(0.4, 1) for _ in range(17)]
    exact = stats.permutation_test(
        (np.array(values),), np.sum, permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue
    assert flip_test(values) == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))
    assert flip_test(values) == flip_test(values)


def test_pairs_are_of_the_same_seed() -> None:
    found = paired({1: 5.0, 2: 6.0, 3: 7.5, 9: 100.0}, {3: 6.0, 2: 5.0, 1: 4.5, 8: 0.0}, by=0.2)
    assert (found.n, found.mean) == (3, pytest.approx(1.0))
    assert found.p_t == pytest.approx(stats.ttest_rel([5, 6, 7.5], [4.7, 5.2, 6.2], alternative="greater").pvalue)
    with pytest.raises(ValueError, match="no seed is in both"):
        paired({1: 1.0}, {2: 1.0})
    assert math.isnan(paired({1: 1.0}, {1: 0.0}).p_flips)


def test_what_is_not_there_is_found_as_seldom_as_promised_and_what_is_there_as_often() -> None:
    generator = random.Random(2)
    count = seeds_to_decide(1.0, 1.0)
    assert count is not None
    found = {0.0: 0, 1.0: 0}
    for mean in found:
        for _ in range(2000):
            found[mean] += t_test([generator.gauss(mean, 1) for _ in range(count)]) < 0.05
    assert 0.03 < found[0.0] / 2000 < 0.07
    assert 0.77 < found[1.0] / 2000 < 0.85


def test_verdicts() -> None:
    def said(*differences: float) -> str:
        found = paired(dict(enumerate(differences)), dict.fromkeys(range(len(differences)), 0.0), by=0.3)
        return verdict(found.p_t, found.p_below)

    assert said(1.0, 1.1, 0.9, 1.05, 1.0) == "supported"
    assert said(0.0, 0.1, -0.1, 0.05, 0.0) == "refuted"
    assert said(0.3, 2.0, -1.0) == "undecided"
    assert said(5.0) == "undecided"


def test_holm_is_that_of_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_hopeless_differences_have_no_number_of_seeds() -> None:
    assert seeds_to_decide(0.001, 1.0) is None
    assert seeds_to_decide(0.0, 1.0) is None
    assert seeds_to_decide(0.0, 0.0) is None
    assert seeds_to_decide(1.0, 0.0) == 5, "as many as sign flips want"


def test_to_refute_wants_more_seeds_than_to_support() -> None:
    for_it, against_it = seeds_to_decide(1.0, 1.5), seeds_to_decide(-1.0, 1.5)
    assert for_it is not None
    assert against_it is not None
    assert against_it > for_it


def test_more_claims_want_more_seeds() -> None:
    one, four = seeds_to_decide(1.0, 1.0), seeds_to_decide(1.0, 1.0, claims=4)
    assert one is not None
    assert four is not None
    assert four > one


def test_refuted_is_what_lies_outside_the_interval() -> None:
    generator = random.Random(4)
    for _ in range(200):
        found = paired(
            {n: generator.gauss(0, 1) for n in range(5)}, dict.fromkeys(range(5), 0.0), by=generator.gauss(1, 1)
        )
        assert (found.p_below < 0.025) == (found.high < found.by)


def test_a_claim_that_cannot_be_tested_counts_among_the_others() -> None:
    assert holm([0.04, math.nan]) == pytest.approx([0.08, 1.0])


def test_differences_that_are_all_the_same_have_no_spread_to_go_by() -> None:
    def said(pairs: int, difference: float, by: float = 0.0) -> str:
        than = {seed: 90.0 + 0.1 * seed for seed in range(pairs)}
        found = paired({seed: value + difference for seed, value in than.items()}, than, by)
        return verdict(found.p_t, found.p_below)

    assert t_test([0.3, 0.3, 0.3]) == flip_test([0.3, 0.3, 0.3]) == 0.125
    assert t_test([-0.3, -0.3, -0.3]) == 1.0
    assert [said(pairs, 0.3) for pairs in (2, 4, 5, 6)] == ["undecided", "undecided", "supported", "supported"]
    assert [said(pairs, -0.3) for pairs in (2, 5, 6)] == ["undecided", "undecided", "refuted"]
    assert said(9, 0.3, by=0.3) == "undecided", "whatever the last bits of 0.3 say"
    for sign, claims in ((1, 1), (-1, 1), (1, 4)):
        assert seeds_to_decide(0.3 * sign, 0.0, claims) == {(1, 1): 5, (-1, 1): 6, (1, 4): 7}[sign, claims]
