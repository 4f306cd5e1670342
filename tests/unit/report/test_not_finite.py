"""Runs of an earlier version whose files hold NaN, or null: every report shows them, and none shows a NaN."""

import json
import math
from pathlib import Path

import pytest
from program import Launch, config, refused
from shown import RESULT, write_run

from gacsnn.config.saved import to_yaml
from gacsnn.report.run_page import run_page
from gacsnn.report.summary import conclude
from gacsnn.runtime.console import speak
from gacsnn.runtime.run_dir import RunDirectory

LINE = ("lr", "train_loss", "train_top1", "validation_loss", "validation_top1", "firing_rate")
NUMBERS = (
    *("top1", "top5", "loss", "firing_rate", "energy_mj", "energy_full_mj", "sops"),
    *("validation_top1", "train_seconds"),
)


def spoil(run_dir: RunDirectory, value: float | None, *epochs: int) -> None:
    """Put this value in place of the figures of the result and of these epochs, as an earlier version wrote them."""
    lines = run_dir.read_metrics()
    spoiled = [{**line, **(dict.fromkeys(LINE, value) if line["epoch"] in epochs else {})} for line in lines]
    run_dir.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in spoiled))
    odd = {"silent": [{"layer": "a", "step": 1, "rate": value}], "saturated": []}
    run_dir.result_path.write_text(json.dumps({**RESULT, **dict.fromkeys(NUMBERS, value), **odd}))


def has_nan(text: str) -> bool:
    return any(word in text.lower() for word in (">nan", " nan", "none %", "inf "))


@pytest.mark.parametrize("value", [math.nan, None, math.inf])
@pytest.mark.parametrize("epochs", [(1,), (2, 3), (1, 2, 3)])
def test_a_run_with_numbers_that_are_not_finite_has_a_page_and_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float | None, epochs: tuple[int, ...]
) -> None:
    run_dir = write_run(tmp_path / "run")
    spoil(run_dir, value, *epochs)
    page = run_page(run_dir, ())
    assert "unknown" in page
    assert not has_nan(page)
    speak()
    result = run_dir.read_result()
    assert result is not None
    conclude(result, run_dir.path)
    said = capsys.readouterr().out
    assert "top-1        unknown on the test split" in said
    assert not has_nan(said)


@pytest.mark.parametrize("value", [math.nan, None])
def test_tables_and_comparisons_pass_over_numbers_that_are_not_finite(
    launch: Launch, tmp_path: Path, value: float | None
) -> None:
    for folder in ("a", "b"):
        for seed in range(3):
            run_dir = write_run(tmp_path / folder / str(seed), top1=90.0 + seed)
            run_dir.config_path.write_text(to_yaml(config("T=2", f"seed={seed}")))
    spoil(RunDirectory(tmp_path / "a" / "0"), value, 1, 3)
    code, out, err = launch("task=table", "runs=[a]")
    assert (code, err) == (0, "")
    assert "91.50 ± 0.71" in out, "of two of the three seeds"
    assert not has_nan(out)
    for name in ("table.md", "table.tex", "table.csv"):
        assert not has_nan((tmp_path / "a" / "report" / name).read_text())
    for runs in ("[a,b]", "[a/0,b/0]", "[a/0,a/1]"):
        code, out, err = launch("task=diff", f"runs={runs}")
        assert (code, err) == (0, "")
        assert not has_nan(out)


@pytest.mark.parametrize("name", ["metrics.jsonl", "result.json"])
def test_a_file_that_is_no_json_is_still_damaged(launch: Launch, tmp_path: Path, name: str) -> None:
    run_dir = write_run(tmp_path / "run")
    (run_dir.path / name).write_text('{"epoch": nan}\n')
    assert f"{name} is damaged" in refused(launch, tmp_path, "task=table", "runs=[run]")
