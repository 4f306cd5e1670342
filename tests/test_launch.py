"""The real command, as its users type it: what it writes, what it says, how it stops."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY, Launch, start

RESULT_KEYS = {
    "top1", "top5", "loss", "params", "T", "dataset", "model", "encoder", "seed", "epochs", "train_seconds",
    "images_per_second", "firing_rate", "energy_mj", "selected_by", "config_hash", "git_commit", "versions", "device",
}  # fmt: skip
TIMINGS = {"seconds", "images_per_second"}


def metrics(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, timings aside."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


def wait_for_epochs(run: Path, count: int, process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Until the metrics of `count` epochs are written, and so the checkpoint of all but the last of them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_text().splitlines()) >= count:
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"no {count} epochs: {process.communicate()[0]}")


def processes_of(group: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def test_a_run_writes_its_directory_and_says_what_it_did(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch(*TINY, "output_dir=run")
    assert (code, err) == (0, "")
    run = tmp_path / "run"
    written = {str(path.relative_to(run)).split("/events")[0] for path in run.rglob("*") if path.is_file()}
    assert written == {
        ".lock", "config.yaml", "energy.csv", "firing_rates.png", "metrics.jsonl", "result.json", "tensorboard",
        "checkpoints/last.pt", "checkpoints/best.pt",
    }  # fmt: skip
    result = json.loads((run / "result.json").read_text())
    assert set(result) >= RESULT_KEYS
    assert 0 <= result["top1"] <= result["top5"] <= 100
    assert 0 < result["firing_rate"] < 1
    assert result["images"] == 32
    assert result["selected_by"] == "best top-1 on the validation split (epoch 1 of 1)"
    for said in ("64 training, 32 validation, 32 test images", "epoch 1/1", "firing rate", "results in   run"):
        assert said in out


def test_without_an_output_dir_runs_get_dated_folders_that_never_collide(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY)[0] == launch(*TINY)[0] == 0
    found = [path.parent.name for path in (tmp_path / "outputs").glob("*/*/result.json")]
    assert len(found) == 2
    assert all("digits-resnet8-gac-T2" in name for name in found)


def test_the_embedded_default_learns(launch: Launch, tmp_path: Path) -> None:
    assert launch("hardware=cpu", "epochs=7", "model.width=0.125", "T=2", "output_dir=run").code == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["top1"] > 85


def test_the_same_seed_repeats_a_run_and_another_does_not(launch: Launch, tmp_path: Path) -> None:
    mixing = ("epochs=2", "augmentation=cutmix", "augmentation.mixup_probability=0.3")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert launch(*TINY, *mixing, f"seed={seed}", f"output_dir={name}").code == 0
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b") != metrics(tmp_path / "c")


def test_workers_do_not_change_a_run(launch: Launch, tmp_path: Path) -> None:
    for name, workers in (("none", 0), ("two", 2)):
        options = ("epochs=2", "augmentation=cutmix", f"hardware.workers={workers}", f"output_dir={name}")
        assert launch(*TINY, *options).code == 0
    assert metrics(tmp_path / "none") == metrics(tmp_path / "two")


def test_a_killed_run_goes_on_as_if_nothing_had_happened(launch: Launch, tmp_path: Path) -> None:
    options = (*TINY, "epochs=9", "optimizer=adamw", "augmentation=cutmix", "model=resnet104", "model.width=0.05",
               "model.stages=[[64,1,1],[128,1,2]]", "limit_train=192", "hardware.threads=1")  # fmt: skip
    process = start(tmp_path, *options, "output_dir=killed")
    wait_for_epochs(tmp_path / "killed", 3, process)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed" / "result.json").exists(), "the run was over before it was killed"
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 9, "a line": "that the kill cut sh')
    assert launch("resume=killed").code == 0
    assert launch(*options, "output_dir=whole").code == 0
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    killed, whole = (torch.load(tmp_path / name / "checkpoints" / "last.pt") for name in ("killed", "whole"))
    assert all(torch.equal(killed["model"][name], tensor) for name, tensor in whole["model"].items())
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("killed", "whole")]
    assert results[0]["top1"] == results[1]["top1"]
    assert results[0]["config_hash"] == results[1]["config_hash"]


def test_a_complete_run_is_not_run_again_but_can_go_further(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "output_dir=run").code == 0
    before = (tmp_path / "run" / "result.json").read_bytes()
    code, out, _ = launch("resume=run")
    assert code == 0
    assert "this run is complete" in out
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    assert launch("resume=run", "epochs=2").code == 0
    assert [line["epoch"] for line in metrics(tmp_path / "run")] == [1, 2]
    assert launch("resume=run").code == 0, "the longer run is complete too"


def test_evaluate_finds_what_the_run_found_with_no_other_option(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "encoder=direct", "output_dir=run").code == 0
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "hardware=cpu", "limit_eval=32")
    for split in ("test", "validation", "train"):
        assert launch(*arguments, f"task.split={split}", f"output_dir={split}").code == 0
    trained, test, validation, train = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("run", "test", "validation", "train")
    )
    assert (test["top1"], test["firing_rate"]) == (trained["top1"], trained["firing_rate"])
    assert validation["top1"] == trained["validation_top1"]
    assert train["images"] == 64
    assert test["encoder"] == "direct"


def test_a_checkpoint_starts_another_training(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "output_dir=first").code == 0
    tiny_step = ("optimizer.lr=1e-30", "optimizer.weight_decay=0", "checkpoint=first/checkpoints/last.pt")
    assert launch(*TINY, *tiny_step, "output_dir=second").code == 0
    first, second = (torch.load(tmp_path / name / "checkpoints" / "last.pt")["model"] for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))


def test_max_steps_and_max_minutes_end_a_run_early(launch: Launch, tmp_path: Path) -> None:
    code, out, _ = launch(*TINY, "epochs=9", "batch_size=16", "max_steps=6", "output_dir=steps")
    assert code == 0
    assert "training stopped after 6 steps, in epoch 2 of 9: max_steps=6" in out
    assert json.loads((tmp_path / "steps" / "result.json").read_text())["steps"] == 6
    assert launch(*TINY, "epochs=9", "max_minutes=1e-6", "output_dir=minutes").code == 0
    assert json.loads((tmp_path / "minutes" / "result.json").read_text())["steps"] == 1


def test_without_a_validation_split_the_last_epoch_is_taken_and_said_so(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "dataset.validation=0.0", "epochs=2", "output_dir=run").code == 0
    assert "last epoch (2)" in json.loads((tmp_path / "run" / "result.json").read_text())["selected_by"]


def test_the_imagenet_recipe_runs_on_small_images(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    """fp16 with its scaler, CutMix, AutoAugment, random resized crops and smoothed labels together."""
    said = launch(
        *("experiment=imagenet_gac_r18_t4", f"dataset.root={jpegs}", "dataset.size=32", "dataset.resize=36"),
        *("dataset.validation=0.2", "model.width=0.05", "epochs=2", "batch_size=16", "hardware=cpu"),
        *("hardware.precision=fp16", "hardware.workers=0", "output_dir=run"),
    )
    assert said.code == 0, said.err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["precision"], result["epochs"], result["images"]) == ("fp16", 2, 15)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_runs_and_resumes(launch: Launch, tmp_path: Path, precision: str) -> None:
    options = (f"hardware.precision={precision}", "hardware.channels_last=true", "output_dir=run")
    assert launch(*TINY, *options).code == 0
    assert launch("resume=run", "epochs=2").code == 0
    assert all(0 < line["train_loss"] < 10 for line in metrics(tmp_path / "run"))


def test_synthetic_data_is_called_so_in_every_output(launch: Launch, tmp_path: Path) -> None:
    code, out, _ = launch(*TINY, "dataset=synthetic", "dataset.size=8", "output_dir=run")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("SYNTHETIC DATA")
    assert "synthetic data" in next(line for line in lines if line.startswith("epoch"))
    assert "SYNTHETIC DATA" in next(line for line in lines if line.startswith("top-1"))
    assert json.loads((tmp_path / "run" / "result.json").read_text())["dataset"] == "synthetic"
    assert metrics(tmp_path / "run")[0]["synthetic"] is True


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
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["top1"] > 60
    assert result["images"] == 15
    assert launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "output_dir=again").code == 0
    assert json.loads((tmp_path / "again" / "result.json").read_text())["top1"] == result["top1"]


def test_hydras_grid_gives_each_run_a_numbered_directory(launch: Launch, tmp_path: Path) -> None:
    assert launch("-m", *TINY, "T=1,2", "hydra.sweep.dir=grid").code == 0
    results = [json.loads((tmp_path / "grid" / str(n) / "result.json").read_text()) for n in (0, 1)]
    assert [result["T"] for result in results] == [1, 2]


def test_an_experiment_is_shown_without_torch() -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        str(ROOT / "launch.py"),
        "experiment=cifar100_gac_r18_t6",
        "--cfg",
        "job",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "T: 6" in shown.stdout
    assert not re.search(r"\| +torch$", shown.stderr, re.MULTILINE)


def test_help_names_every_group_and_option(launch: Launch) -> None:
    code, out, _ = launch("--help")
    assert code == 0
    for said in ("dataset: cifar10, cifar100, digits", "optimizer.lr", "learning rate at the start", "limit_train"):
        assert said in out


# How runs stop


def test_ctrl_c_ends_a_run_at_once_and_keeps_the_last_epoch(tmp_path: Path, launch: Launch) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "hardware.workers=1", "output_dir=run")
    wait_for_epochs(tmp_path / "run", 2, process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group, loaders too
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "resume=run goes on after it" in said
    assert "Traceback" not in said
    assert processes_of(process.pid) == []
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")["train_state"]["epoch"]
    assert launch("resume=run", f"epochs={last + 1}").code == 0


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(
    launch: Launch, tmp_path: Path
) -> None:
    code, _, err = launch(*TINY, "optimizer.lr=1e30", "batch_size=16", "epochs=3", "output_dir=run")
    assert code == 1
    assert re.search(r"error: the (loss became nan|weights .* are no longer finite) at step \d+", err)
    assert err.count("\n") == 1
    assert not (tmp_path / "run" / "result.json").exists()
    assert launch(*TINY, "epochs=1", "output_dir=good").code == 0
    code, _, err = launch(
        *TINY, "checkpoint=good/checkpoints/last.pt", "optimizer.lr=1e30", "scheduler.warmup_epochs=1.0", "epochs=3",
        "scheduler.interval=step", "batch_size=64", "output_dir=later",
    )  # fmt: skip
    assert code == 1
    for file in (tmp_path / "later" / "checkpoints").glob("*.pt"):
        assert all(tensor.isfinite().all() for tensor in torch.load(file)["model"].values())


def test_a_pipe_gets_lines_without_control_characters(tmp_path: Path) -> None:
    process = start(tmp_path, *TINY, "epochs=2", "output_dir=run")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.findall(r"[^\n\x20-\x7e]", said) == []
    assert len([line for line in said.splitlines() if line.startswith("epoch")]) == 2


def test_a_terminal_gets_a_bar_with_loss_accuracy_rate_and_time_left(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    options = (*TINY, "limit_train=1000", "batch_size=8", "output_dir=run")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), *options], cwd=tmp_path, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # which Linux raises when the other end is closed
        while block := os.read(leader, 65536):
            shown += block
    os.close(leader)
    assert process.wait() == 0
    assert re.search(r"epoch 1/1: +\d+%.*\d+/1000 \[\d+:\d+<\d+:\d+,.*img.*loss=.*top1=", shown.decode())


def test_only_one_process_writes_a_run(tmp_path: Path, launch: Launch) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "output_dir=run")
    wait_for_epochs(tmp_path / "run", 2, process)
    code, _, err = launch("resume=run")
    process.kill()
    process.wait()
    assert code == 2
    assert "another process is writing this run" in err
