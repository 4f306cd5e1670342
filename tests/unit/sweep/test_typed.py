"""What was typed, before Hydra reads it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from gacsnn.errors import InputError
from gacsnn.sweep.typed import quoted_letters, read


@given(st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd"), include_characters=" /._-+"), min_size=1))
def test_letters_beyond_ascii_are_read_as_they_stand(name: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([quoted_letters(f"output_dir=é{name}")])
    assert override.value() == f"é{name}"


@pytest.mark.parametrize(
    "argument", ["T=4", "output_dir='été'", "runs=[été,hiver]", "runs=été,hiver", "--été", "é", "a=b=é"]
)
def test_what_is_quoted_or_more_than_a_value_is_left_as_it_is(argument: str) -> None:
    assert quoted_letters(argument) == argument


def test_a_sweeps_folder_has_a_name_that_there_could_be() -> None:
    with pytest.raises(InputError, match=r"^hydra\.sweep\.dir=new/xxx.*: is no path that there could be"):
        read(["-m", "T=1,2", f"hydra.sweep.dir=new/{300 * 'x'}"])
