"""Training as users type it: what a run writes, what it says, what repeats it."""

from pathlib import Path

import pytest
import torch
from program import TINY, Launch, read_metrics, read_result, refused

RESULT_KEYS = {
    "top1", "top5", "loss", "params", "T", "dataset", "model", "encoder", "seed", "epochs", "train_seconds",
    "images_per_second", "firing_rate", "energy_mj", "selected_by", "config_hash", "git_commit", "versions", "device",
}  # fmt: skip


def test_a_run_writes_its_directory_and_says_what_it_did(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch(*TINY, "output_dir=run")
    assert (code, err) == (0, "")
    run = tmp_path / "run"
    written = {str(path.relative_to(run)).split("/events")[0] for path in run.rglob("*") if path.is_file()}
    assert written == {
        ".lock", "config.yaml", "energy.csv", "metrics.jsonl", "report.html", "result.json", "tensorboard",
        "checkpoints/last.pt", "checkpoints/best.pt",
    }  # fmt: skip
    result = read_result(run)
    assert set(result) >= RESULT_KEYS
    assert 0 <= result["top1"] <= result["top5"] <= 100
    assert 0 < result["firing_rate"] < 1
    assert result["images"] == 32
    assert result["selected_by"] == "best top-1 on the validation split (epoch 1 of 1)"
    for said in ("64 training, 32 validation, 32 test images", "epoch 1/1", "firing rate", "results in   run"):
        assert said in out


def test_the_page_of_a_run_follows_it(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "seed=3", "output_dir=run").code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<small>1 epoch</small>" in page
    assert "<dt>seed</dt><dd>3</dd>" in page[page.index("Given on the command line") : page.index("<details>")]
    assert launch("resume=run", "epochs=2").code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<small>2 epochs</small>" in page
    assert f"{read_result(tmp_path / 'run')['top1']:.2f} %" in page


def test_without_an_output_dir_runs_get_dated_folders_that_never_collide(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY)[0] == launch(*TINY)[0] == 0
    found = [path.parent.name for path in (tmp_path / "outputs").glob("*/*/result.json")]
    assert len(found) == 2
    assert all("digits-resnet8-gac-T2" in name for name in found)


@pytest.mark.parametrize(("epochs", "top1"), [(4, 70), pytest.param(7, 85, marks=pytest.mark.slow)])
def test_the_embedded_default_learns(launch: Launch, tmp_path: Path, epochs: int, top1: float) -> None:
    assert launch("hardware=cpu", f"epochs={epochs}", "model.width=0.125", "T=2", "output_dir=run").code == 0
    assert read_result(tmp_path / "run")["top1"] > top1


def test_the_same_seed_repeats_a_run_and_another_does_not(launch: Launch, tmp_path: Path) -> None:
    mixing = ("epochs=2", "augmentation=cutmix", "augmentation.mixup_probability=0.3")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert launch(*TINY, *mixing, f"seed={seed}", f"output_dir={name}").code == 0
    assert read_metrics(tmp_path / "a") == read_metrics(tmp_path / "b") != read_metrics(tmp_path / "c")


def test_workers_do_not_change_a_run(launch: Launch, tmp_path: Path) -> None:
    for name, workers in (("none", 0), ("two", 2)):
        options = ("epochs=2", "augmentation=cutmix", f"hardware.workers={workers}", f"output_dir={name}")
        assert launch(*TINY, *options).code == 0
    assert read_metrics(tmp_path / "none") == read_metrics(tmp_path / "two")


@pytest.mark.parametrize(
    "arguments", [("encoder=poisson",), pytest.param(("encoder=latency", "encoder.curve=log"), marks=pytest.mark.slow)]
)
def test_a_run_with_a_code_repeats_with_its_seed(launch: Launch, arguments: tuple[str, ...]) -> None:
    def measured(folder: str, seed: int) -> dict[str, float]:
        options = (*TINY, "hardware.threads=1", *arguments, f"seed={seed}", f"output_dir={folder}")
        assert launch(*options).code == 0
        result = read_result(Path(folder))
        return {key: result[key] for key in ("top1", "loss", "firing_rate", "sops", "energy_mj")}

    first = measured("a", 1)
    assert measured("b", 1) == first
    assert measured("c", 2)["loss"] != first["loss"]


def test_a_checkpoint_starts_another_training(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "output_dir=first").code == 0
    tiny_step = ("optimizer.lr=1e-30", "optimizer.weight_decay=0", "checkpoint=first/checkpoints/last.pt")
    assert launch(*TINY, *tiny_step, "output_dir=second").code == 0
    first, second = (torch.load(tmp_path / name / "checkpoints" / "last.pt")["model"] for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))


def test_max_steps_ends_a_run_early(launch: Launch, tmp_path: Path) -> None:
    code, out, _ = launch(*TINY, "epochs=9", "batch_size=16", "max_steps=6", "output_dir=steps")
    assert code == 0
    assert "training stopped after 6 steps, in epoch 2 of 9: max_steps=6" in out
    assert read_result(tmp_path / "steps")["steps"] == 6


def test_without_a_validation_split_the_last_epoch_is_taken_and_said_so(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "dataset.validation=0.0", "epochs=2", "output_dir=run").code == 0
    assert "last epoch (2)" in read_result(tmp_path / "run")["selected_by"]


def test_the_imagenet_recipe_runs_on_small_images(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    """fp16 with its scaler, CutMix, AutoAugment, random resized crops and smoothed labels together."""
    said = launch(
        *("experiment=imagenet_gac_r18_t4", f"dataset.root={jpegs}", "dataset.size=32", "dataset.resize=36"),
        *("dataset.validation=0.2", "model.width=0.05", "epochs=2", "batch_size=16", "hardware=cpu"),
        *("hardware.precision=fp16", "hardware.workers=0", "output_dir=run"),
    )
    assert said.code == 0, said.err
    result = read_result(tmp_path / "run")
    assert (result["precision"], result["epochs"], result["images"]) == ("fp16", 2, 15)


@pytest.mark.parametrize("precision", [pytest.param("bf16", marks=pytest.mark.slow), "fp16"])
def test_lower_precision_runs_and_resumes(launch: Launch, tmp_path: Path, precision: str) -> None:
    options = (f"hardware.precision={precision}", "hardware.channels_last=true", "model.width=0.25", "output_dir=run")
    assert launch(*TINY, *options).code == 0
    assert launch("resume=run", "epochs=2").code == 0
    assert all(0 < line["train_loss"] < 10 for line in read_metrics(tmp_path / "run"))


def test_a_narrow_network_has_its_channels_first_on_a_cpu(launch: Launch, tmp_path: Path) -> None:
    """With its channels last, oneDNN's convolutions write beyond their memory: see `sound_orders`."""
    code, out, err = launch(*TINY, "hardware.kernels=fused")
    assert code == 0, err
    assert "channels last" not in out
    code, out, err = launch(*TINY, "hardware.kernels=fused", "model.width=0.25", "max_steps=1")
    assert code == 0, err
    assert "channels last" in out
    said = refused(launch, tmp_path, *TINY, "hardware.channels_last=true")
    assert "hardware.channels_last=true: on a CPU PyTorch's convolutions write beyond their memory" in said


def test_synthetic_data_is_called_so_in_every_output(launch: Launch, tmp_path: Path) -> None:
    code, out, _ = launch(*TINY, "dataset=synthetic", "dataset.size=8", "output_dir=run")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("SYNTHETIC DATA")
    assert "synthetic data" in next(line for line in lines if line.startswith("epoch"))
    assert "SYNTHETIC DATA" in next(line for line in lines if line.startswith("top-1"))
    assert read_result(tmp_path / "run")["dataset"] == "synthetic"
    assert read_metrics(tmp_path / "run")[0]["synthetic"] is True


def test_class_folders_of_jpegs_train_with_workers(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    options = ("dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=16", "dataset.augment.crop_padding=2")
    small = (
        "hardware=cpu",
        "model.width=0.1",
        "T=2",
        "epochs=6",
        "batch_size=16",
        "optimizer=adamw",
        "optimizer.lr=0.01",
    )
    assert launch(*options, *small, "hardware.workers=2", "output_dir=run").code == 0
    result = read_result(tmp_path / "run")
    assert result["top1"] > 60
    assert result["images"] == 15
    assert launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "output_dir=again").code == 0
    assert read_result(tmp_path / "again")["top1"] == result["top1"]
