"""The comparison of a rerun with the original."""

from pathlib import Path

from program import TINY, config

from gacsnn.report.compare import Recorded
from gacsnn.tasks.rerun import missing_parts


def test_missing_parts_of_original_with_lost_line_and_checkpoint_are_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.pt").touch()
    options, lines = config(*TINY), [{"epoch": epoch} for epoch in (1, 2, 3)]
    rerun = Recorded(tmp_path / "rerun", options, {"epochs": 3}, lines)
    original = Recorded(tmp_path, options, {"epochs": 3}, [lines[0], lines[2]])
    assert missing_parts(original, rerun) == ["epoch 2 of metrics.jsonl", "last.pt"]
    (tmp_path / "checkpoints" / "last.pt").touch()
    assert missing_parts(Recorded(tmp_path, options, {"epochs": 3}, lines), rerun) == []


def test_missing_parts_of_unfinished_original_end_at_its_last_epoch(tmp_path: Path) -> None:
    options, lines = config(*TINY), [{"epoch": epoch} for epoch in (1, 2, 3)]
    rerun = Recorded(tmp_path / "rerun", options, {"epochs": 3}, lines)
    assert missing_parts(Recorded(tmp_path, options, None, lines[1:2]), rerun) == ["epoch 1 of metrics.jsonl"]
    assert missing_parts(Recorded(tmp_path, options, None, lines[:2]), rerun) == []
