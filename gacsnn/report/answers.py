"""What a study answers to the claims that stood in it before its first trial (`sweep/question.py`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError
from gacsnn.report.rows import mean_by_seed
from gacsnn.report.table import Align
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.statistics import ALPHA, Difference, holm, paired, seeds_to_decide, verdict
from gacsnn.sweep.objectives import HIGHER_IS_BETTER
from gacsnn.sweep.question import Claim, from_plain, written
from gacsnn.sweep.storage import run_of

HEADERS = ("claim", "answer", "difference", "95 % interval", "n", "p (t)", "p (flips)", "p (Holm)")
ALIGN: tuple[Align, ...] = ("left", "left", "right", "right", "right", "right", "right", "right")


@dataclass(frozen=True)
class Answer:
    """`difference`: how far the better side is ahead, in units of `claim.on`; None where fewer than one seed is in both sides.

    `p` is that of the paired t-test on the side of `claim.by` where the difference lies, corrected (Holm) for all claims of the
    study. `unpaired`: seeds that one side lacks.
    """

    claim: Claim
    difference: Difference | None
    p: float
    verdict: str
    more_seeds: int | None
    unpaired: Sequence[str]

    def cells(self) -> tuple[str, ...]:
        found = self.difference
        if found is None:
            return (str(self.claim), self.verdict, "", "", "0", "", "", "")
        between = f"{found.low:+.4g} to {found.high:+.4g}" if found.has_spread else ""
        p_t = found.p_t if found.is_above else found.p_below
        tests = ("", "", "") if found.n < 2 else tuple(f"{p:.3g}" for p in (p_t, found.p_flips, self.p))
        return (str(self.claim), self.verdict, f"{found.mean:+.4g}", between, str(found.n), *tests)

    def notes(self) -> list[str]:
        """What the cells do not say: why nothing is decided, what would, which seeds do not pair."""
        found, made = self.difference, []
        if found is None or found.n < 2:
            made.append(
                f"{self.claim}: {'no pair' if found is None else 'one pair'} of seeds has finished, and two are the least"
            )
        elif self.verdict == "undecided":
            more = "more than 1,000" if self.more_seeds is None else f"about {self.more_seeds}"
            seeds = "seed" if self.more_seeds == 1 else "seeds"
            made.append(
                f"{self.claim}: {more} more {seeds} would decide, 4 times in 5, if the difference is what it seems"
            )
        elif self.verdict == "supported" and found.p_flips > ALPHA:
            made.append(
                f"{self.claim}: rests on the t-test; sign flips, which suppose no normal distribution, give p {found.p_flips:.3g}"
            )
        if found is not None and found.n > 1 and not found.has_spread:
            made.append(
                f"{self.claim}: all {found.n} differences are the same, and the t-test has no spread to go by; p (t) is that of "
                "sign flips, and there is no interval"
            )
        return [*made, *(f"{self.claim}: {line}" for line in self.unpaired)]


def answers(
    study: optuna.Study, trials: Sequence[FrozenTrial], objectives: Sequence[str], folder: Path
) -> list[Answer]:
    """An answer to each claim of a study, all tested together."""
    claims = from_plain(study.user_attrs.get("claims", []))
    found = [difference(claim, trials, objectives, folder) for claim in claims]
    above = holm([1.0 if pair is None else pair.p_t for pair, _ in found])
    below = holm([1.0 if pair is None else pair.p_below for pair, _ in found])
    made = []
    for claim, (pair, unpaired), p, p_below in zip(claims, found, above, below, strict=True):
        more = None
        if pair is not None and pair.n > 1:
            wanted = seeds_to_decide(pair.mean - pair.by, pair.sd, len(claims))
            more = None if wanted is None else max(1, wanted - pair.n)
        shown = p if pair is None or pair.is_above else p_below
        made.append(Answer(claim, pair, shown, verdict(p, p_below), more, unpaired))
    return made


def difference(
    claim: Claim, trials: Sequence[FrozenTrial], objectives: Sequence[str], folder: Path
) -> tuple[Difference | None, list[str]]:
    """How far the better side is ahead over the seeds that both have; and, in words, which seeds one side lacks."""
    better, than = (by_seed(side, claim.on, trials, objectives, folder) for side in claim.sides())
    lacking = [
        f"seed {seed} has not finished with {side}"
        for seed in sorted(set(better) | set(than))
        for side, there in zip(map(written, claim.sides()), (better, than), strict=True)
        if seed not in there
    ]
    if claim.on not in HIGHER_IS_BETTER:
        better, than = ({seed: -value for seed, value in side.items()} for side in (better, than))
    try:
        return paired(better, than, claim.by), lacking
    except ValueError:
        return None, lacking


def by_seed(
    options: Mapping[str, Any], figure: str, trials: Sequence[FrozenTrial], objectives: Sequence[str], folder: Path
) -> dict[int, float]:
    """A figure of the complete trials with these options, by seed; of several with one seed their mean."""
    mine = [
        (trial.params["seed"], value)
        for trial in trials
        if trial.state == TrialState.COMPLETE and all(trial.params.get(name) == options[name] for name in options)
        if (value := figure_of(trial, figure, objectives, folder)) is not None
    ]
    return mean_by_seed(mine)


def figure_of(trial: FrozenTrial, figure: str, objectives: Sequence[str], folder: Path) -> float | None:
    """A figure of a trial's result; None where its run does not know it, or is gone."""
    if figure in objectives:
        return float(trial.values[objectives.index(figure)])
    try:
        result = RunDirectory(run_of(trial, folder)).read_result() or {}
    except InputError:
        return None
    return result.get(figure)
