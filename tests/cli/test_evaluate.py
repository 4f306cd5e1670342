"""task=evaluate: a checkpoint is measured as the run that wrote it."""

from pathlib import Path

import pytest
import torch
import yaml
from program import TINY, Launch, read_csv, read_result

from gacsnn.config.saved import load
from gacsnn.training.checkpoint import save


def test_evaluate_finds_what_the_run_found_with_no_other_option(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "encoder=direct", "output_dir=run").code == 0
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "hardware=cpu", "limit_eval=32")
    for split in ("test", "validation", "train"):
        assert launch(*arguments, f"task.split={split}", f"output_dir={split}").code == 0
    trained, test, validation, train = (read_result(tmp_path / name) for name in ("run", "test", "validation", "train"))
    assert (test["top1"], test["firing_rate"]) == (trained["top1"], trained["firing_rate"])
    assert validation["top1"] == trained["validation_top1"]
    assert train["images"] == 64
    assert test["encoder"] == "direct"


@pytest.mark.usefixtures("tiny")
def test_a_measurement_says_which_classes_are_taken_for_which(launch: Launch, tmp_path: Path) -> None:
    said = launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "limit_eval=200", "output_dir=again")
    assert "by class, the worst first; all in again/classes.csv" in said.out
    classes, pairs = (read_csv(tmp_path / "again" / name) for name in ("classes.csv", "confusion.csv"))
    assert [line["class"] for line in classes] == [str(digit) for digit in range(10)]
    right = sum(int(line["images"]) for line in pairs if line["class"] == line["predicted"])
    assert 100 * right / 200 == pytest.approx(read_result(tmp_path / "again")["top1"])
    for line in classes:
        of_it = [pair for pair in pairs if pair["class"] == line["class"]]
        assert int(line["images"]) == sum(int(pair["images"]) for pair in of_it)
    assert ">Confusion matrix</text>" in (tmp_path / "again" / "report.html").read_text()
    assert not (tmp_path / "run" / "classes.csv").exists(), "a training measures its test split as a whole"


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
    assert read_result(tmp_path / "again")["validation_top1"] is None


@pytest.mark.usefixtures("tiny")
def test_a_last_epoch_is_not_credited_with_the_score_of_the_best_one(launch: Launch, tmp_path: Path) -> None:
    content = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")
    later = {**content["train_state"], "epoch": 2}  # than the best, which was the first
    save(tmp_path / "later.pt", {**content, "train_state": later})
    for file, name in (("run/checkpoints/last.pt", "same"), ("later.pt", "other")):
        assert launch("task=evaluate", f"checkpoint={file}", "limit_eval=8", f"output_dir={name}").code == 0
    same, other = (read_result(tmp_path / name)["validation_top1"] for name in ("same", "other"))
    assert (same, other) == (content["train_state"]["best_top1"], None)


def test_max_resnet18_is_trained_and_measured_again_from_the_command_line(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "model=max_resnet18", "model.width=0.05", "output_dir=run").code == 0
    assert load(tmp_path / "run" / "config.yaml").neuron.detach_reset
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "limit_eval=32", "output_dir=again")
    assert launch(*arguments).code == 0
    trained, measured = (read_result(tmp_path / name) for name in ("run", "again"))
    assert (measured["model"], measured["loss"]) == ("max_resnet18", trained["loss"])


def test_the_gates_options_come_from_the_command_line_and_into_the_checkpoint(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "encoder.kernel=8", "encoder.gate=image", "neuron=paper", "output_dir=run").code == 0
    saved = load(tmp_path / "run" / "config.yaml")
    assert saved.encoder.model_dump() == {"name": "gac", "kernel": 8, "gate": "image"}
    weights = torch.load(tmp_path / "run" / "checkpoints" / "best.pt")["model"]
    assert weights["encoder.spatial_channel.conv1.weight"].shape == (3, 3, 8, 8)
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt")
    code, _, err = launch(*arguments, "encoder.kernel=4")
    assert (code, err.count("\n")) == (2, 1)
    assert "encoder.kernel is 8 there and 4 here" in err
    assert launch(*arguments, "limit_eval=32", "output_dir=again").code == 0
    trained, measured = (read_result(tmp_path / name) for name in ("run", "again"))
    assert measured["loss"] == trained["loss"]
