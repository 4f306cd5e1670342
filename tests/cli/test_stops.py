"""How runs stop: a kill, Ctrl-C, SIGTERM, a loss that is not finite."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from program import TINY, Launch, read_metrics, read_result, start, wait_for, wait_for_epochs

from gacsnn.models import SpikingResNet
from gacsnn.training.trainer import Trainer


def processes_of(group: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(launch: Launch, tmp_path: Path) -> None:
    options = (*TINY, "epochs=5", "optimizer=adamw", "augmentation=cutmix", "model=resnet104", "model.width=0.05",
               "model.stages=[[64,1,1],[128,1,2]]", "limit_train=128", "hardware.threads=1")  # fmt: skip
    process = start(tmp_path, *options, "output_dir=killed")
    wait_for_epochs(tmp_path / "killed", 2, process)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed" / "result.json").exists(), "the run was over before it was killed"
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 9, "a line": "that the kill cut sh')
    assert launch("resume=killed").code == 0
    assert launch(*options, "output_dir=whole").code == 0
    assert read_metrics(tmp_path / "killed") == read_metrics(tmp_path / "whole")
    killed, whole = (torch.load(tmp_path / name / "checkpoints" / "last.pt") for name in ("killed", "whole"))
    assert all(torch.equal(killed["model"][name], tensor) for name, tensor in whole["model"].items())
    results = [read_result(tmp_path / name) for name in ("killed", "whole")]
    assert results[0]["top1"] == results[1]["top1"]
    assert results[0]["config_hash"] == results[1]["config_hash"]


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


@pytest.mark.slow  # by default: Ctrl-C, above, and what this process makes of SIGTERM in test_exact_resume.py
def test_sigterm_ends_a_run_quietly(tmp_path: Path) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "output_dir=run")
    wait_for((tmp_path / "run" / "checkpoints" / "last.pt").exists, process)
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "Traceback" not in out


@pytest.mark.slow  # by default: Ctrl-C, above, which loaders hear, too
def test_sigterm_to_all_of_a_jobs_processes_is_no_failure_of_the_loader(tmp_path: Path, launch: Launch) -> None:
    """torchrun, scancel and systemd send it to loaders as well, before or after their parent."""
    process = start(tmp_path, *TINY, "epochs=1000", "hardware.workers=2", "output_dir=run")
    wait_for_epochs(tmp_path / "run", 2, process)
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 143, said
    assert "resume=run goes on after it" in said
    assert "Traceback" not in said
    assert processes_of(process.pid) == []
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")["train_state"]["epoch"]
    assert launch("resume=run", f"epochs={last + 1}").code == 0


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["SigCgt"], 16) >> (number - 1) & 1)


@pytest.mark.slow  # by default: one before training begins, below, and what is done with the signal in test_signals.py
def test_a_clusters_warning_ends_a_run_with_the_code_for_requeueing(tmp_path: Path, launch: Launch) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "hardware.workers=1", "output_dir=run")
    wait_for_epochs(tmp_path / "run", 2, process)
    os.killpg(process.pid, signal.SIGUSR1)  # the loader's processes hear it, too
    os.killpg(process.pid, signal.SIGUSR1)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 99, said
    assert "resume=run goes on after it" in said
    assert "Traceback" not in said
    assert "killed by signal" not in said
    assert processes_of(process.pid) == []
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")["train_state"]["epoch"]
    assert launch("resume=run", f"epochs={last + 1}").code == 0


def test_a_warning_before_training_begins_ends_the_program_with_that_code(tmp_path: Path) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "output_dir=run")
    wait_for(lambda: catches(process.pid, signal.SIGUSR1), process)
    process.send_signal(signal.SIGUSR1)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 99, said
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


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
    saved = list((tmp_path / "later" / "checkpoints").glob("*.pt"))
    assert saved
    for file in saved:
        assert all(tensor.isfinite().all() for tensor in torch.load(file)["model"].values())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("running_var", "the weights encoder.stem.1.running_var are no longer finite"),
        ("logits", "the mean loss of 32 images is nan"),
    ],
)
def test_a_network_that_diverges_unnoticed_by_the_loss_never_becomes_the_best(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, said: str
) -> None:
    step, forward = Trainer.step, SpikingResNet.forward

    def spoiled_step(trainer: Trainer, *batch: torch.Tensor) -> object:
        done = step(trainer, *batch)
        if spoil == "running_var" and trainer.state.epoch == 1:
            trainer.model.encoder.stem[1].running_var.fill_(torch.inf)
        trainer.model.head.spoiled = spoil == "logits" and trainer.state.epoch == 1
        return done

    def spoiled_forward(model: SpikingResNet, images: torch.Tensor) -> torch.Tensor:
        logits = forward(model, images)
        return logits * torch.nan if getattr(model.head, "spoiled", False) and not model.training else logits

    monkeypatch.setattr(Trainer, "step", spoiled_step)
    monkeypatch.setattr(SpikingResNet, "forward", spoiled_forward)
    code, _, err = launch(*TINY, "epochs=3", "output_dir=run")
    assert (code, err.count("\n")) == (1, 1)
    assert said in err
    assert "epoch 1 is saved" in err
    for file in (tmp_path / "run" / "checkpoints").glob("*.pt"):
        content = torch.load(file)
        assert content["train_state"]["epoch"] == 1
        assert all(tensor.isfinite().all() for tensor in content["model"].values())
    assert "nan" not in (tmp_path / "run" / "metrics.jsonl").read_text().lower()
