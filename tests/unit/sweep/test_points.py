"""A search in words."""

import optuna
import pytest

from gacsnn.sweep.points import described, in_words
from gacsnn.sweep.storage import OtherStudyError, check_kind


@pytest.mark.parametrize(
    ("distribution", "said"),
    [
        (optuna.distributions.FloatDistribution(0.001, 0.1, log=True), "0.001 to 0.1, logarithmic"),
        (optuna.distributions.IntDistribution(1, 5, step=2), "1 to 5 in steps of 2"),
        (optuna.distributions.CategoricalDistribution((2, "gac", None)), "one of 2, gac, None"),
        ("another notation (", "another notation ("),
        ("Another(x=1)", "Another(x=1)"),
    ],
)
def test_a_distribution_in_words(distribution: object, said: str) -> None:
    assert described(str(distribution)) == said
    assert in_words({"search of T": str(distribution), "T": str(distribution)}) == {
        "search of T": said,
        "T": str(distribution),
    }


def test_what_is_the_same_in_words_may_be_another_search() -> None:
    study = optuna.create_study()
    kinds = [
        {"search of x": f"CategoricalDistribution(choices=({one}, {two}))"} for one, two in ((1, 2), ("'1'", "'2'"))
    ]
    study.set_user_attr("identity", kinds[0])
    check_kind(study, ["minimize"], kinds[0])
    with pytest.raises(OtherStudyError, match=r"choices=\(1, 2\)"):
        check_kind(study, ["minimize"], kinds[1])
