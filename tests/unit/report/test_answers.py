"""What a study answers to its claims, from trials whose figures are known."""

import json
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gacsnn.report.answers import Answer, answers
from gacsnn.report.study import claim_lines, unfinished
from gacsnn.statistics import paired
from gacsnn.sweep.claims import ASKED, INTERRUPTED
from gacsnn.sweep.question import read_claims, to_plain

SPACE: dict[str, BaseDistribution] = {
    "encoder": CategoricalDistribution(["gac", "direct"]),
    "T": CategoricalDistribution([2, 4]),
    "seed": CategoricalDistribution([0, 1, 2, 3, 4]),
}
CLAIM = {"better": "encoder=gac", "than": "encoder=direct", "by": 0.3, "on": "validation_top1"}

# By T and seed. At T=2 far above, at T=4 below.
GAC = {2: [93.0, 93.4, 93.1, 93.3, 93.2], 4: [94.0, 94.1, 93.9, 94.0, 94.2]}
DIRECT = {2: [91.0, 91.1, 91.3, 91.2, 91.0], 4: [95.0, 95.2, 94.9, 95.1, 95.0]}


def trial(encoder: str, T: int, seed: int, value: float | None, run: str = "") -> FrozenTrial:
    state = TrialState.COMPLETE if value is not None else TrialState.FAIL
    params = {"encoder": encoder, "T": T, "seed": seed}
    return create_trial(params=params, distributions=SPACE, value=value, state=state, user_attrs={"run": run})


def study_of(trials: list[FrozenTrial], claim: object = CLAIM, test: str = "best") -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.set_user_attr("claims", to_plain(read_claims(claim, SPACE, test)))
    study.add_trials(trials)
    return study


def asked(study: optuna.Study, folder: Path = Path("nowhere")) -> list[Answer]:
    return answers(study, study.trials, ["validation_top1"], folder)


def both(lacking: tuple[str, int, int] | None = None) -> list[FrozenTrial]:
    return [
        trial(encoder, T, seed, None if lacking == (encoder, T, seed) else value)
        for encoder, of in (("gac", GAC), ("direct", DIRECT))
        for T, values in of.items()
        for seed, value in enumerate(values)
    ]


def test_each_claim_is_answered_seed_by_seed_and_all_are_corrected_together() -> None:
    at_2, at_4 = asked(study_of(both()))
    assert (at_2.verdict, at_4.verdict) == ("supported", "refuted")
    alone = {T: paired(dict(enumerate(GAC[T])), dict(enumerate(DIRECT[T])), 0.3) for T in (2, 4)}
    assert (at_2.difference, at_4.difference) == (alone[2], alone[4])
    assert at_2.p == pytest.approx(2 * alone[2].p_t)
    assert at_2.cells()[2] == f"{alone[2].mean:+.4g}"
    assert not at_4.notes()


def test_seeds_that_one_side_lacks_are_said_and_the_others_count() -> None:
    at_2, at_4 = asked(study_of(both(lacking=("direct", 2, 3))))
    assert at_2.difference is not None
    assert at_2.difference.n == 4
    assert any("seed 3 has not finished with T=2 encoder=direct" in note for note in at_2.notes())
    assert at_4.difference is not None
    assert at_4.difference.n == 5


def test_what_is_undecided_says_how_many_more_seeds_would_decide() -> None:
    claim = {**CLAIM, "better": "encoder=gac T=2", "than": "encoder=direct T=2", "by": 2.0}
    (answer,) = asked(study_of(both(), claim))
    assert answer.verdict == "undecided"
    assert answer.more_seeds is not None
    assert any(f"about {answer.more_seeds} more" in note for note in answer.notes())


@pytest.mark.parametrize("seeds", [0, 1])
def test_one_pair_answers_nothing(seeds: int) -> None:
    trials = [one for one in both() if one.params["seed"] < seeds or one.params["encoder"] == "gac"]
    for answer in asked(study_of(trials)):
        assert answer.verdict == "undecided"
        assert any("two are the least" in note for note in answer.notes())
        assert len(answer.cells()) == 8


def test_of_energy_less_is_better_and_it_is_read_from_the_runs(tmp_path: Path) -> None:
    trials = []
    for encoder, energies in (("gac", [1.0, 1.1, 0.9]), ("direct", [3.0, 3.2, 3.1])):
        for seed, energy in enumerate(energies):
            run = f"{encoder}{seed}"
            (tmp_path / run).mkdir()
            (tmp_path / run / "result.json").write_text(json.dumps({"energy_mj": energy}))
            trials.append(trial(encoder, 2, seed, 90.0, run))
    claim = {**CLAIM, "better": "encoder=gac T=2", "than": "encoder=direct T=2", "by": 1, "on": "energy_mj"}
    (answer,) = asked(study_of(trials, claim), tmp_path)
    assert answer.verdict == "supported"
    assert answer.difference is not None
    assert answer.difference.mean == pytest.approx(2.1)
    (tmp_path / "gac0" / "result.json").unlink()
    (answer,) = asked(study_of(trials, claim), tmp_path)
    assert answer.difference is not None
    assert answer.difference.n == 2


def test_a_t_test_that_sign_flips_do_not_bear_out_is_said() -> None:
    claim = {**CLAIM, "better": "encoder=gac T=2", "than": "encoder=direct T=2"}
    (answer,) = asked(study_of([one for one in both() if one.params["seed"] < 4], claim))
    assert answer.verdict == "supported"
    assert any("rests on the t-test" in note for note in answer.notes())  # 1/16 is the least that 4 flips can give


@pytest.mark.parametrize(
    ("seeds", "said"), [(0, "no pair of seeds has finished"), (1, "one pair of seeds has finished")]
)
def test_too_few_pairs_are_said(seeds: int, said: str) -> None:
    trials = [each for each in both() if each.params["encoder"] == "gac" or each.params["seed"] < seeds]
    assert all(f"{said}, and two are the least" in answer.notes()[0] for answer in asked(study_of(trials)))


@pytest.mark.parametrize(("more", "said"), [(1, "about 1 more seed would"), (3, "about 3 more seeds would")])
def test_how_many_more_would_decide_is_said(more: int, said: str) -> None:
    (claim, _) = read_claims(CLAIM, SPACE, "best")
    difference = paired({0: 1.0, 1: 2.0}, {0: 0.0, 1: 3.0})
    assert said in Answer(claim, difference, 0.4, "undecided", more, []).notes()[0]


def test_equal_differences_are_said_to_be_so() -> None:
    trials = [trial(encoder, 2, seed, 90.0 + (encoder == "gac")) for encoder in ("gac", "direct") for seed in range(4)]
    (answer, _) = asked(study_of(trials))
    assert answer.verdict == "undecided"
    assert "all 4 differences are the same, and the t-test has no spread to go by" in answer.notes()[1]


def test_an_answer_before_the_end_says_so() -> None:
    study = study_of(both())
    pending = unfinished(study, study.trials)
    assert pending == ""
    study.set_user_attr(ASKED, 24)
    study.enqueue_trial({"encoder": "gac", "T": 2, "seed": 0})
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"died": INTERRUPTED}))
    pending = unfinished(study, study.trials)
    assert pending == "1 waiting, 1 interrupted, 2 not begun"
    assert any(
        line.startswith(f"- the sweep is not at its end ({pending}): these are no answers yet")
        for line in claim_lines(asked(study), pending)
    )
