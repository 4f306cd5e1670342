"""Runs with the preset of the released programs, where the test split picks the epoch."""

from pathlib import Path

from program import FAITHFUL, Launch, read_metrics, read_result


def test_a_faithful_run_says_that_the_test_split_picked_its_epoch(launch: Launch, tmp_path: Path) -> None:
    code, out, _ = launch(*FAITHFUL, "output_dir=run")
    assert code == 0
    result = read_result(tmp_path / "run")
    lines = read_metrics(tmp_path / "run")
    best = max(lines, key=lambda line: (line["test_top1"], -line["test_loss"]))
    assert result["selected_by"] == (
        f"best top-1 on the TEST split (epoch {best['epoch']} of 3), as the released programs do"
    )
    assert result["top1"] == best["test_top1"]
    assert result["loss"] == best["test_loss"]
    assert result["last_epoch_top1"] == lines[-1]["test_top1"]
    assert result["validation_top1"] is None
    assert not any(key.startswith("validation") for line in lines for key in line)
    for said in ("64 training, 0 validation, 32 test images", "last epoch", "TEST split"):
        assert said in out


def test_a_faithful_run_goes_on_with_its_resume_alone(launch: Launch, tmp_path: Path) -> None:
    assert launch(*FAITHFUL, "epochs=3", "scheduler=constant", "output_dir=whole").code == 0
    assert launch(*FAITHFUL, "epochs=2", "scheduler=constant", "output_dir=part").code == 0
    assert launch("resume=part", "epochs=3").code == 0
    whole, part = (read_result(tmp_path / name) for name in ("whole", "part"))
    assert {k: part[k] for k in ("loss", "selected_by", "last_epoch_top1")} == {
        k: whole[k] for k in ("loss", "selected_by", "last_epoch_top1")
    }


def test_resuming_a_faithful_run_with_its_preset_named_again(launch: Launch) -> None:
    assert launch(*FAITHFUL, "output_dir=run").code == 0
    code, _, err = launch("resume=run", "preset=faithful", "epochs=4")
    assert (code, err.count("\n")) == (2, 1), "a preset sets whole groups, and so nothing is inherited"
    assert "there and" in err
