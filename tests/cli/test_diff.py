"""task=diff: in what real runs and studies differ."""

import json
import shutil
from pathlib import Path

import pytest
from program import SEARCH, TINY, Launch, read_metrics, read_result, refused

ONE = (*TINY, "hardware.threads=1", "epochs=2")


def test_two_runs_by_options_results_epochs_and_what_made_them(launch: Launch, tmp_path: Path) -> None:
    assert launch(*ONE, "output_dir=a").code == 0
    assert launch(*ONE, "seed=1", "hardware.precision=bf16", "output_dir=b").code == 0
    there, here = (read_result(tmp_path / name) for name in "ab")
    (tmp_path / "b" / "result.json").write_text(json.dumps(here | {"git_commit": "abc"}))
    before = sorted(tmp_path.rglob("*"))
    code, out, err = launch("task=diff", "runs=[a,b]")
    assert (code, err) == (0, "")
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"
    lines = [line.split() for line in out.splitlines()]
    assert ["seed", "0", "1"] in lines
    assert ["hardware.precision", "fp32", "bf16"] in lines
    assert ["loss", str(there["loss"]), str(here["loss"]), f"{here['loss'] - there['loss']:+.3g}"] in lines
    assert ["git_commit", there["git_commit"], "abc"] in lines
    losses = [read_metrics(tmp_path / name)[0]["train_loss"] for name in "ab"]
    assert "epoch 1, the first that differs" in out
    assert ["train_loss", *map(str, losses), f"{losses[1] - losses[0]:+.3g}"] in lines
    assert "T" not in [line[0] for line in lines if line]


def test_the_same_run_twice_and_one_that_is_not_finished(launch: Launch, tmp_path: Path) -> None:
    assert launch(*ONE, "output_dir=a").code == 0
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    out = launch("task=diff", "runs=[a,b]").out
    for said in (
        "the options are the same",
        "the results are the same",
        "the first 2 epochs are the same",
        "commit, versions, machine, device and threads are the same",
    ):
        assert said in out
    (tmp_path / "b" / "result.json").unlink()
    lines = (tmp_path / "b" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "b" / "metrics.jsonl").write_text(lines[0])
    out = launch("task=diff", "runs=[a,b]").out
    assert "B is not finished: 1 of 2 epochs" in out
    assert "no results to compare" in out
    assert "the first 1 epochs are the same" in out


@pytest.fixture
def studies(launch: Launch) -> tuple[str, str]:
    assert launch("-m", *SEARCH, "epochs=1", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=multirun/a").code == 0
    other = ("T=1,3", "batch_size=16", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=multirun/b")
    assert launch("-m", *SEARCH, "epochs=1", *other).code == 0
    return "multirun/a", "multirun/b"


def test_two_studies_by_search_trials_and_best(launch: Launch, studies: tuple[str, str], tmp_path: Path) -> None:
    a, b = studies
    code, out, err = launch("task=diff", f"runs=[{a},{b}]")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "search of T one of 1, 2 one of 1, 3" in lines
    assert "batch_size 32 16" in lines
    assert "COMPLETE 1 2 +1" in lines
    values = {
        name: max(read_result(path.parent)["validation_top1"] for path in (tmp_path / name).glob("*/result.json"))
        for name in (a, b)
    }
    change = "" if values[a] == values[b] else f"validation_top1 {values[a]} {values[b]} {values[b] - values[a]:+.3g}"
    assert change in lines
    shutil.copytree(tmp_path / a, tmp_path / "copy")
    out = launch("task=diff", f"runs=[{a},copy]").out
    for said in ("the same search", "as many trials of each state", "the best trials and their values are the same"):
        assert said in out
    assert "is a run and" in refused(launch, tmp_path, "task=diff", f"runs=[{a}/0,{b}]")
    rows = launch("task=diff", f"runs=[{a},multirun]")
    assert rows.code == 0, rows.err
    assert rows.out.count("only in B: ") == 2
