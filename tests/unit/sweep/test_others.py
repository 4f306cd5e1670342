"""Trials that a study takes from others."""

from pathlib import Path

import pytest

from gacsnn.errors import InputError
from gacsnn.sweep.others import check_others


@pytest.mark.parametrize("folder", ["a\0b", "\ud800", "odd\udcff", "nowhere"])
def test_trials_from_a_folder_that_cannot_be_there_is_refused_in_one_line(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^hydra\.sweeper\.trials_from[^\n]*$"):
        check_others([folder], tmp_path)
