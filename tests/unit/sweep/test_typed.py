"""What was typed, before Hydra reads it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from hypothesis import given
from hypothesis import strategies as st

from gacsnn.errors import InputError
from gacsnn.sweep.typed import keep_text, quote, read


def parsed(argument: str) -> object:
    (override,) = OverridesParser.create().parse_overrides([argument])
    if override.is_sweep_override():
        return [
            OverridesParser.create().parse_overrides([f"x={each}"])[0].value()
            for each in override.sweep_string_iterator()
        ]
    return override.value()


@given(st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd"), include_characters=" /._-+"), min_size=1))
def test_letters_beyond_ascii_are_read_as_they_stand(name: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([keep_text(f"output_dir=é{name}")])
    assert override.value() == f"é{name}"


@pytest.mark.parametrize(
    "argument",
    [
        *(
            "T=4",
            "T=1_000",
            "optimizer.lr=1e3",
            "plan=true",
            "output_dir='été'",
            "--été=1",
            "é",
            "a=b=é",
            "output_dir=null",
        ),
        *(
            "output_dir=",
            "runs=[]",
            "output_dir=${x}",
            "output_dir=choice(a,b)",
            "hydra.sweeper.n_trials=1_0",
            "encoder=é,a",
        ),
    ],
)
def test_what_is_quoted_or_more_than_a_value_is_left_as_it_is(argument: str) -> None:
    assert keep_text(argument) == argument


TEXTS = (
    "2026_12_01",
    "08",
    "1_000",
    "on",
    "1e3",
    "0x10",
    "yes",
    "~",
    "2026-12-01",
    "true",
    "+5",
    "nan",
    "12:30",
    "a=b",
    "a#b",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "option",
    [
        *("output_dir", "resume", "checkpoint", "study", "runs", "rerun", "dataset.root", "dataset.train_folder"),
        *("hydra.sweep.dir", "hydra.sweeper.study_name", "hydra.sweeper.storage", "+dataset.root"),
    ],
)
def test_a_value_of_an_option_that_takes_text_stays_as_it_was_typed(option: str, text: str) -> None:
    assert parsed(keep_text(f"{option}={text}")) == text


def test_lists_and_grids_of_text_stay_as_they_were_typed() -> None:
    assert parsed(keep_text(f"runs=[{','.join(TEXTS)}]")) == [*TEXTS]
    assert parsed(keep_text("runs=[08, 1_000 ]")) == ["08", "1_000"]
    assert parsed(keep_text(f"output_dir={','.join(TEXTS)}")) == [*TEXTS]
    assert parsed(keep_text("runs=[a,b],[c,d]")) == [["a", "b"], ["c", "d"]]
    twice = keep_text(keep_text("runs=[08,1_000]"))
    assert twice == keep_text("runs=[08,1_000]"), "workers read the command line again"


def test_text_that_is_searched_keeps_its_quotes_up_to_the_trials_command_line() -> None:
    space, fixed, _ = create_params_from_overrides(
        [keep_text("dataset.train_folder=08,1_000"), keep_text("dataset.root=1e3")]
    )
    assert space["dataset.train_folder"].choices == ("08", "'1_000'")
    assert fixed == {"dataset.root": "'1e3'"}


@pytest.mark.parametrize("text", ["a'b", "a\\", "a\\\\'b\\", "'", "a\\\n", "a=b, c", "é", "\\x"])
def test_text_in_quotes_is_read_as_it_was(text: str) -> None:
    assert parsed(f"output_dir={quote(text)}") == text


def test_a_sweeps_folder_has_a_name_that_there_could_be() -> None:
    with pytest.raises(InputError, match=r"^hydra\.sweep\.dir=new/xxx.*: is no path that there could be"):
        read(["-m", "T=1,2", f"hydra.sweep.dir=new/{300 * 'x'}"])
