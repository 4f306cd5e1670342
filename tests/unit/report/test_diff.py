"""task=diff of folders of runs: rows matched by their settings, seed by seed or by Welch's interval."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import Launch, config, refused
from scipy import stats

from gacsnn.report.compare import options_apart
from gacsnn.report.diff import show
from gacsnn.runtime.console import speak
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.statistics import interval, interval_between

RESULT = {"top1": 90.0, "validation_top1": 91.0, "energy_mj": 0.5, "params": 1000, "epochs": 2, "selected_by": "best"}

Write = Callable[..., None]


@pytest.fixture(autouse=True)
def speaking() -> None:
    """As the command line has it: what is said goes to where output goes just now."""
    speak()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A run directory as a training leaves it: by its folder, its options, and what its result says."""
    monkeypatch.chdir(tmp_path)

    def made(name: str, *options: str, **result: Any) -> None:
        run_dir = RunDirectory(tmp_path / name)
        run_dir.checkpoints.mkdir(parents=True)
        run_dir.write_config(config(*options))
        run_dir.write_result({**RESULT, **result})

    return made


def test_rows_of_the_same_seeds_are_compared_seed_by_seed(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = [90.0, 91.0, 92.5], [90.5, 91.75, 93.0]
    for seed in range(3):
        write(f"a/{seed}", f"seed={seed}", top1=before[seed])
        write(f"b/{seed}", f"seed={seed}", top1=after[seed])
    write("a/only", "T=6")
    write("b/only", "T=6", "optimizer.lr=0.5")
    counts = show([Path("a"), Path("b")])
    assert counts == {"both": 1, "only_in_a": 1, "only_in_b": 1}
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if " top1 " in line)
    low, high = interval([0.5, 0.75, 0.5])
    assert line.split("  ")[0] == "digits resnet8 x0.25 gac T=4 optimizer.lr=0.002"
    assert "91.17 ± 1.26  3  91.75 ± 1.25  3" in line
    assert line.endswith(f"+0.58  [{low:+.2f}, {high:+.2f}]  seed by seed")
    assert "only in A: digits resnet8 x0.25 gac T=6 optimizer.lr=0.002 (n=1)" in out
    assert "only in B: digits resnet8 x0.25 gac T=6 optimizer.lr=0.5 (n=1)" in out


def test_rows_of_other_seeds_are_compared_by_welch(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = [90.0, 91.0, 92.5], [90.5, 94.0]
    for seed, top1 in enumerate(before):
        write(f"a/{seed}", f"seed={seed}", top1=top1)
    for seed, top1 in enumerate(after):
        write(f"b/{seed}", f"seed={seed + 1}", top1=top1)
    show([Path("a"), Path("b")])
    expected = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    assert f"+1.08  [{expected.low:+.2f}, {expected.high:+.2f}]  Welch\n" in capsys.readouterr().out


def test_one_run_each_has_no_interval_and_the_same_rows_are_said_to_be(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a/0")
    write("b/0")
    show([Path("a"), Path("b")])
    out = capsys.readouterr().out
    assert "the same rows with the same means" in out
    assert "[" not in out
    write("b/1", "seed=1", top1=80.0)
    show([Path("a"), Path("b")])
    assert "the same rows" not in capsys.readouterr().out


def test_diff_of_rows_with_a_seed_twice_counts_it_once_and_says_so(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        for copy in range(2):
            write(f"{folder}/{copy}", top1=90.0 + copy)
    show([Path("a"), Path("b")])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if " top1 " in line)
    assert " ".join(line.split()).endswith("90.50 1 90.50 1 +0.00 a seed twice")
    write("a/other", "seed=1", top1=92.0)
    write("b/other", "seed=1", top1=94.0)
    show([Path("a"), Path("b")])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if " top1 " in line)
    low, high = interval([0.0, 2.0])
    assert line.endswith(f"+1.00  [{low:+.2f}, {high:+.2f}]  seed by seed, a seed twice")


def test_what_cannot_be_compared_is_refused(launch: Launch, write: Write, tmp_path: Path) -> None:
    write("a/0")
    (tmp_path / "empty").mkdir()
    for runs, said in (
        ("[a,a/0]", "task=diff: a is a folder of runs and a/0 is a run; give two of a kind"),
        ("[a,./a]", "the same folder twice"),
        ("[a,nope]", "runs=nope: no such folder"),
        ("[empty,a]", "runs=empty: neither a run nor a study, and no run directory in it"),
        ("a", "task=diff: runs=[A,B] says which two"),
        ("[a,empty,a]", "task=diff: runs=[A,B] says which two"),
    ):
        assert said in refused(launch, tmp_path, "task=diff", f"runs={runs}")
    assert "task=diff: runs=[A,B] says which two" in refused(launch, tmp_path, "task=diff")


def test_intervals_of_nothing_and_of_no_deviation() -> None:
    assert all(map(math.isnan, interval_between([1.0], [1.0, 2.0])))
    assert interval_between([1.0, 1.0], [2.0, 2.0]) == (1.0, 1.0)


def test_options_are_compared_with_their_defaults_and_without_what_was_measured() -> None:
    one, other = config("hardware.processes=2", "optimizer=sgd"), config()
    measured = {"mean": [0.5] * 3, "std": [0.5] * 3, "measured": ["mean", "std"]}
    one = one.model_copy(update={"dataset": one.dataset.model_copy(update=measured)})
    found = options_apart(one, other)
    assert found["hardware.processes"] == (2, 1)
    assert found["optimizer.name"] == ("sgd", "adamw")
    assert found["optimizer.momentum"] == (0.9, "missing")
    assert not [name for name in found if name.startswith("dataset")]
