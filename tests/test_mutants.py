"""The faults of tests/mutants.py: they still apply, and the script says truly what came of them."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

import mutants
import pytest
from mutants import Fault, chosen, is_stale, main
from mutations import FAULTS
from program import ROOT

NEURON = FAULTS[0]


def test_every_fault_still_applies_and_is_no_mistake_of_syntax() -> None:
    assert [fault.name for fault in FAULTS if is_stale(fault, ROOT)] == []
    for fault in FAULTS:
        text = (ROOT / fault.file).read_text()
        ast.parse(text.replace(fault.old, fault.new))
        assert fault.old != fault.new
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_the_tests_that_should_notice_are_there() -> None:
    for fault in FAULTS:
        for test in fault.tests:
            file, _, name = test.partition("::")
            assert (ROOT / file).is_file(), test
            assert not name or f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), test


ONE = Fault("two", "one.py", "ONE = 1", "ONE = 2", ("tests/test_one.py",))
NOT_SEEN = ONE._replace(name="unseen", tests=("tests/test_none.py",))


@pytest.mark.parametrize(
    ("fault", "code", "verdict"),
    [
        (ONE, 1, "noticed"),
        (ONE, 0, "NOT NOTICED"),
        (ONE, 4, "NOT NOTICED (pytest's exit code 4: no such test)"),
        (ONE, -6, "NOT NOTICED (pytest's exit code -6: no such test)"),
        (ONE, None, "NOT NOTICED (not ended after 180 s)"),
        (ONE._replace(hangs=True), None, "noticed"),
        (ONE._replace(old="ONE = 3"), 1, "stale"),
        (ONE._replace(file="two.py"), 1, "stale"),
    ],
)
def test_only_tests_that_ran_and_failed_have_noticed(
    fault: Fault, code: int | None, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.py").write_text("ONE = 1\n")
    seen = []

    def instead(
        copy: Path, _tests: Sequence[str], _limit: float, _variables: Mapping[str, str]
    ) -> tuple[int | None, str]:
        seen.append((copy / "one.py").read_text())
        return code, "...\nno such test\n"

    monkeypatch.setattr(mutants, "tested", instead)
    assert mutants.verdict(tmp_path, fault) == verdict
    assert seen == ([] if verdict == "stale" else ["ONE = 2\n"])
    assert (tmp_path / "one.py").read_text() == "ONE = 1\n"


def test_a_process_that_is_brought_down_on_its_way_out_has_said_that_tests_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.py").write_text("ONE = 1\n")
    monkeypatch.setattr(mutants, "tested", lambda *_: (-11, "FAILED tests/test_one.py\n1 failed, 3 passed in 0.77s\n"))
    assert mutants.verdict(tmp_path, ONE) == "noticed"
    monkeypatch.setattr(mutants, "tested", lambda *_: (-11, "4 passed in 0.77s\n"))
    assert mutants.verdict(tmp_path, ONE) == "NOT NOTICED (pytest's exit code -11: 4 passed in 0.77s)"


@pytest.mark.slow
def test_it_says_which_were_noticed_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a program of one line, with a test of it and one that cannot fail."""
    for name, content in (
        ("setup.cfg", "[tool:pytest]\npythonpath = .\n"),
        ("one.py", "ONE = 1\n"),
        ("tests/test_one.py", "import one\n\n\ndef test_it() -> None:\n    assert one.ONE == 1\n"),
        ("tests/test_none.py", "def test_it() -> None:\n    assert True\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "COPIED", ("tests", "one.py", "setup.cfg"))
    monkeypatch.setattr(mutants, "LIMIT", 5.0)
    forever = Fault("ever", "one.py", "ONE = 1", "while True: pass", ("tests/test_one.py",), hangs=True)
    monkeypatch.setattr(mutants, "FAULTS", (ONE, NOT_SEEN, forever))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main([]) == 1
    said = [line.rpartition(",")[0] or line for line in capsys.readouterr().out.splitlines()]
    assert said.pop(0) == "without a fault the tests pass"
    assert said == ["  1 two: noticed", "  2 unseen: NOT NOTICED", "  3 ever: noticed", "2 of 3 faults were noticed"]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert main(["--only", "1"]) == 0
    (tmp_path / "tests" / "test_none.py").write_text("def test_it() -> None:\n    assert False\n")
    assert main(["--only", "1,2"]) == 1
    assert "without a fault these tests do not pass" in capsys.readouterr().out


def test_some_are_chosen_by_number_or_by_a_part_of_the_name() -> None:
    assert list(chosen("2,1")) == [1, 2]
    assert [fault.name for fault in chosen("threshold").values()] == [NEURON.name]
    assert len(chosen(None)) == len(FAULTS) >= 40
    assert main(["--only", "nothing of the kind"]) == 1
