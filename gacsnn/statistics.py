"""What a few seeds can say: intervals of a mean, and whether one setting is better than another, seed by seed."""

import itertools
import math
import random
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

# Chance of a wrong answer that is accepted, and of a right one that is wanted when more seeds are asked for.
ALPHA, POWER = 0.05, 0.8

# Up to so many pairs all sign flips are tried (2^n); beyond, so many drawn ones.
ALL_FLIPS, FLIPS = 16, 100_000

# Of what is compared, what differences of doubles may be off by.
ROUNDING = 1e-10

# More seeds than this are not counted: "more than".
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Difference:
    """`better - than` over n paired seeds: its mean with a 95 % interval, and one-sided tests that it is above `by`, or below.

    `p_t` is the paired t-test's that it is above, `p_below` that it is below; `p_flips` that of the sign-flip permutation
    test on the side where the mean lies, which supposes no normal distribution and is exact up to 16 pairs. With one pair nothing
    can be said: interval and tests are nan.
    """

    mean: float
    low: float
    high: float
    by: float
    n: int
    sd: float
    p_t: float
    p_below: float
    p_flips: float

    @property
    def is_above(self) -> bool:
        """Whether the mean lies above `by`: the side whose p-values are shown."""
        return self.mean > self.by

    @property
    def has_spread(self) -> bool:
        return self.n > 1 and self.sd > ROUNDING * abs(self.mean)


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Of the mean, by Student's t. (nan, nan) for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    mean = statistics.fmean(values)
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def paired(better: Mapping[int, float], than: Mapping[int, float], by: float = 0.0) -> Difference:
    """The difference over the seeds that both have.

    Raises:
        ValueError: when no seed is in both.
    """
    seeds = sorted(set(better) & set(than))
    if not seeds:
        raise ValueError("no seed is in both")
    differences = [better[seed] - than[seed] for seed in seeds]
    low, high = interval(differences)
    largest = max(abs(side[seed]) for side in (better, than) for seed in seeds)
    above = [0.0 if abs(difference - by) <= ROUNDING * largest else difference - by for difference in differences]
    sd = statistics.stdev(differences) if len(seeds) > 1 else math.nan
    below = [-value for value in above]
    mean = statistics.fmean(differences)
    flips = flip_test(above if mean > by else below)
    return Difference(mean, low, high, by, len(seeds), sd, t_test(above), t_test(below), flips)


def interval_between(there: Sequence[float], here: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Of the difference of two means, `here - there`, by Welch's t: of runs that are no pairs, whose deviations may differ.

    (nan, nan) where one has fewer than two values.
    """
    if min(len(there), len(here)) < 2:
        return math.nan, math.nan
    mean = statistics.fmean(here) - statistics.fmean(there)
    if statistics.stdev(there) == statistics.stdev(here) == 0:
        return mean, mean
    with warnings.catch_warnings(action="ignore"):  # which say that the values of one are nearly the same
        found = stats.ttest_ind(here, there, equal_var=False).confidence_interval(confidence)
    return float(found.low), float(found.high)


def t_test(above: Sequence[float]) -> float:
    """One-sided p that the mean is above 0, by Student's t.

    Values that are all the same have no spread to go by: they would give 0, from two seeds on, and a validation split of few
    images makes them likely. Theirs is the p of the sign flips, 2^-n, or 1 where they are not above 0.
    """
    if len(above) < 2:
        return math.nan
    mean, sd = statistics.fmean(above), statistics.stdev(above)
    if sd <= ROUNDING * max(map(abs, above)):
        return 0.5 ** len(above) if mean > 0 else 1.0
    return float(stats.t.sf(mean / (sd / math.sqrt(len(above))), len(above) - 1))


def flip_test(above: Sequence[float], seed: int = 0) -> float:
    """One-sided p that the mean is above 0: how many of all choices of signs have a sum as large.

    Exact for up to 16 values. Beyond, of 100,000 drawn choices, with those that were made among them (so never 0).
    """
    n, observed = len(above), math.fsum(above)
    if n < 2:
        return math.nan
    slack = 1e-12 * math.fsum(map(abs, above))
    if n <= ALL_FLIPS:
        sums = (
            math.fsum(s * v for s, v in zip(signs, above, strict=True))
            for signs in itertools.product((1, -1), repeat=n)
        )
        return sum(total >= observed - slack for total in sums) / 2**n
    generator = random.Random(seed)
    as_large = 0
    for _ in range(FLIPS):
        bits = generator.getrandbits(n)
        as_large += sum(v if bits >> i & 1 else -v for i, v in enumerate(above)) >= observed - slack
    return (as_large + 1) / (FLIPS + 1)


def is_above(successes: int, trials: int, share: float) -> bool:
    """Return whether so many successes show a larger probability than `share`, by a one-sided binomial test."""
    return float(stats.binom.sf(successes - 1, trials, share)) < ALPHA


def verdict(p: float, p_below: float) -> str:
    """supported, refuted or undecided. The p-values that a difference is above what is claimed, and below, are corrected for
    the other claims of a study.

    Refuted is what can be shown to be wrong: of a single claim, a difference whose 95 % interval lies below `by` as a whole.
    """
    if p < ALPHA:
        return "supported"
    return "refuted" if p_below < ALPHA / 2 else "undecided"


def holm(ps: Sequence[float]) -> list[float]:
    """p-values of several claims, corrected together (Holm, 1979): the chance that any of them is found wrongly is that of one.

    That holds for one family of p-values. `verdict` asks two, each corrected by itself: whether claims are supported, at 5 %,
    and whether they are refuted, at 2.5 %. So of several claims, some true and some not, a wrong *supported* comes with 5 % at
    most, a wrong *refuted* with 2.5 %, and any wrong answer with 7.5 %.
    """
    ps = [1.0 if math.isnan(p) else p for p in ps]  # a claim that cannot be tested is one of them all the same
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    corrected, so_far = [0.0] * len(ps), 0.0
    for place, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(ps) - place) * ps[index]))
        corrected[index] = so_far
    return corrected


def seeds_to_decide(mean: float, sd: float, claims: int = 1) -> int | None:
    """Pairs with which a one-sided paired t-test would find a difference of this mean and deviation in 4 of 5 tries.

    Args:
        mean: of the differences, above what is claimed. The sign says which way it would be decided: to refute a claim wants
            a p of 2.5 %, as `verdict` has it.
        sd: their standard deviation.
        claims: how many are tested together: each with its share of the 5 %.

    None: more than 1,000, or no number of them.
    """
    if mean == 0:
        return None
    alpha = (ALPHA if mean > 0 else ALPHA / 2) / claims
    if sd <= ROUNDING * abs(mean):
        return math.floor(-math.log2(alpha)) + 1  # as `t_test` has it
    for n in range(2, MOST_SEEDS + 1):
        critical = stats.t.ppf(1 - alpha, n - 1)
        if stats.nct.sf(critical, n - 1, abs(mean) / sd * math.sqrt(n)) >= POWER:
            return n
    return None
