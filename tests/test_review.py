"""Found by a reader of the code who had not written it: each was wrong once."""

import json
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, TINY, Launch, start
from test_conf import config


@pytest.mark.parametrize("experiment", ["cifar10_gac_r18_t4", "imagenet_gac_r18_t4"])
def test_any_group_of_a_row_can_be_replaced(experiment: str) -> None:
    for group in ("optimizer", "augmentation", "loss", "scheduler", "encoder", "hardware"):
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            row = config(f"experiment={experiment}", f"{group}={file.stem}").model_dump()[group]
            assert row == config(f"{group}={file.stem}").model_dump()[group]


def test_more_epochs_go_on_at_the_rate_of_the_longer_schedule(launch: Launch, tmp_path: Path) -> None:
    options = (*TINY, "scheduler=cosine_by_epoch")
    assert launch(*options, "epochs=2", "output_dir=run").code == 0
    assert launch("resume=run", "epochs=4").code == 0
    assert launch(*options, "epochs=4", "output_dir=whole").code == 0
    rates = [
        [json.loads(line)["lr"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("run", "whole")
    ]
    assert rates[0][2:] == rates[1][2:]


def test_the_same_command_with_resume_goes_on(launch: Launch) -> None:
    command = (*TINY, "dataset=synthetic", "dataset.size=8", "output_dir=run")
    assert launch(*command).code == 0
    assert launch(*command, "resume=run", "epochs=2").code == 0


def test_a_run_may_be_moved_and_resumed_as_a_row(launch: Launch, tmp_path: Path) -> None:
    row = ("experiment=cifar10_gac_r18_t2", "dataset=digits", *TINY)
    assert launch(*row, "output_dir=run").code == 0
    (tmp_path / "run").rename(tmp_path / "moved")
    said = launch(*row, "resume=moved", "epochs=2")
    assert said.code == 0, said.err
    assert yaml.safe_load((tmp_path / "moved" / "config.yaml").read_text())["output_dir"] == "moved"


def test_precision_may_change_on_the_way(launch: Launch) -> None:
    assert launch(*TINY, "output_dir=run").code == 0
    assert launch("resume=run", "epochs=2", "hardware.precision=fp16").code == 0
    assert launch("resume=run", "epochs=3", "hardware.precision=fp32").code == 0


def test_other_images_are_normalised_as_the_network_learned(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    small = (*TINY, "dataset=image_folder", "dataset.size=16", "dataset.resize=16", "hardware.workers=0")
    assert launch(*small, f"dataset.root={jpegs}", "output_dir=run").code == 0
    other = tmp_path / "other"
    (tmp_path / "images").rename(other)
    for image in list(other.rglob("0*.jpg"))[:20]:
        image.unlink()
    options = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "dataset=image_folder", f"dataset.root={other}")
    said = launch(*options, "dataset.size=16", "dataset.resize=16", "hardware.workers=0", "output_dir=again")
    assert said.code == 0, said.err
    means = [
        yaml.safe_load((tmp_path / run / "config.yaml").read_text())["dataset"]["mean"] for run in ("run", "again")
    ]
    assert means[0] == means[1]


def test_a_folder_of_test_images_only_is_refused(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    (jpegs / "train").rename(tmp_path / "elsewhere")
    code, _, err = launch(*TINY, "dataset=image_folder", f"dataset.root={jpegs}")
    assert code == 2
    assert "holds val/ but no train/" in err


def test_a_run_that_was_stopped_in_its_first_epoch_begins_again(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "output_dir=run").code == 0
    (tmp_path / "run" / "checkpoints" / "last.pt").unlink()
    assert launch(*TINY, "output_dir=run").code == 0
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_damaged_metrics_file_is_named(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "output_dir=run").code == 0
    (tmp_path / "run" / "metrics.jsonl").write_text("garbage\n")
    code, _, err = launch("resume=run", "epochs=2")
    assert (code, err.count("\n")) == (2, 1)
    assert "metrics.jsonl is damaged" in err


def test_resume_writes_nothing_where_there_is_no_run(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert launch("resume=empty").code == 2
    assert not list((tmp_path / "empty").iterdir())


def test_a_direct_network_may_be_measured_at_another_t(launch: Launch) -> None:
    assert launch(*TINY, "encoder=direct", "output_dir=run").code == 0
    assert launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "T=3").code == 0
    assert launch(*TINY, "output_dir=gac").code == 0
    for task in ("task=evaluate", "task=train"):
        code, _, err = launch(*TINY, task, "checkpoint=gac/checkpoints/best.pt", "T=3")
        assert code == 2
        assert "tied to T" in err


def test_a_measured_epoch_is_not_credited_with_the_score_of_another(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "preset=faithful", "output_dir=run").code == 0
    assert launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "output_dir=again").code == 0
    assert json.loads((tmp_path / "again" / "result.json").read_text())["validation_top1"] is None


def test_submodules_are_there_after_a_plain_import() -> None:
    import gacsnn

    assert set(gacsnn.encoders.ENCODERS) == {"gac", "direct", "poisson", "latency", "phase"}
    assert set(gacsnn.encoders.CODES) == {"poisson", "latency", "phase"}


def test_sigterm_ends_a_run_quietly(tmp_path: Path) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "output_dir=run")
    while not (tmp_path / "run" / "checkpoints" / "last.pt").exists():
        assert process.poll() is None
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "Traceback" not in out


def test_the_readme_holds_no_placeholder_and_no_dead_link() -> None:
    import re

    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text()
        assert not re.search(r"@[A-Z]+@", text)
        for link in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (page.parent / link).exists(), link
