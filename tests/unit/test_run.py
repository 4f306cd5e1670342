"""gacsnn.run.run: what it gives back."""

from pathlib import Path

from program import FAITHFUL, TINY, config, read_result

from gacsnn.config.schema import Config
from gacsnn.run import run


def faithful_config(folder: Path) -> Config:
    return config(*FAITHFUL, f"output_dir={folder}")


def test_a_faithful_run_gives_no_score_to_search_by(tmp_path: Path) -> None:
    assert run(faithful_config(tmp_path / "faithful"))["validation_top1"] is None
    sound = run(config(*TINY, f"output_dir={tmp_path / 'sound'}"))
    assert sound == read_result(tmp_path / "sound")


def test_a_complete_faithful_run_that_is_resumed_gives_no_score_either(tmp_path: Path) -> None:
    chosen = faithful_config(tmp_path / "run")
    assert run(chosen)["validation_top1"] is None
    resumed = chosen.model_copy(update={"output_dir": None, "resume": str(tmp_path / "run")})
    assert run(resumed, ["resume"])["validation_top1"] is None
