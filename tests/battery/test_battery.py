"""The hostile battery: some hundred command lines, files and surroundings that are wrong. `pytest -m slow tests/battery`.

A part of it: `pytest -m slow tests/battery -k images`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from battery import checkpoints, environment, grammar, images, made, options, runs, studies
from battery.driver import Case, check
from wrong import WRONG

pytestmark = pytest.mark.slow


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


PARTS: dict[str, list[Case]] = {
    "lines": [Case(arguments, said, prepare=emptied) for arguments, said in WRONG.items()],
    "options": options.CASES,
    "grammar": grammar.CASES,
    "images": images.CASES,
    "checkpoints": checkpoints.CASES,
    "runs": runs.CASES,
    "studies": studies.CASES,
    "environment": environment.CASES,
}


@pytest.fixture(scope="session", autouse=True)
def what_was_made() -> Iterator[None]:
    yield
    made.remove_made()


def named(part: str, number: int, case: Case) -> str:
    line = " ".join(case.arguments).encode("ascii", "replace").decode()
    return f"{part}-{number}-{line}"[:100]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=named(part, number, case))
        for part, cases in PARTS.items()
        for number, case in enumerate(cases)
    ],
)
def test_it_is_as_was_promised(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    made.copy_to(folder)
    check(case, folder)


def test_there_are_enough() -> None:
    assert sum(len(cases) for cases in PARTS.values()) >= 400
