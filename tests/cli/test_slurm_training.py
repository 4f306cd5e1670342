"""One training by several processes on a real SLURM: docs/train.sbatch preempted, and the tasks of a job step."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from cluster import cluster, free_ports, queue, slurm, started
from program import ROOT, TINY, Launch, read_metrics, read_result

OPTIONS = (*TINY, "hardware.threads=1", "limit_train=400", "batch_size=8", "epochs=3", "augmentation=cutmix")
SAME = ("top1", "loss", "firing_rate", "energy_mj", "sops", "config_hash")


@pytest.fixture(scope="module")
def slurmd() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture
def own_queue(slurmd: None) -> Iterator[None]:
    """The cluster, and nothing left in it."""
    yield
    subprocess.run(["scancel", "--me"], check=True)
    deadline = time.monotonic() + 60
    while queue() and time.monotonic() < deadline:
        time.sleep(0.2)


def wait_for(condition: Callable[[], object], log: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        said = log.read_text() if log.exists() else ""
        assert time.monotonic() < deadline, f"what was waited for did not happen: {queue()}\n{said}"
        time.sleep(0.1)


def state_of(job: str) -> dict[str, str]:
    words = slurm("scontrol", "--oneliner", "show", "job", job).split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def processes_of(job: str) -> list[str]:
    """What runs and has been started by a job, however it was."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes().split(b"\0")
            if {f"SLURM_JOB_ID={job}".encode(), f"SLURM_CONF={os.environ['SLURM_CONF']}".encode()} <= set(environment):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


def saved(run: Path) -> dict[str, int]:
    return torch.load(run / "checkpoints" / "last.pt")["train_state"]


def check_same(run: Path, whole: Path) -> None:
    """Bit for bit."""
    one, other = (torch.load(path / "checkpoints" / "last.pt")["model"] for path in (run, whole))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    assert read_metrics(run) == read_metrics(whole)
    results = [read_result(path) for path in (run, whole)]
    assert [results[0][name] for name in SAME] == [results[1][name] for name in SAME]


@pytest.mark.slow
def test_a_training_that_is_preempted_twice_ends_as_one_that_is_not(
    launch: Launch, tmp_path: Path, own_queue: None
) -> None:
    (tmp_path / "launch.py").symlink_to(ROOT / "launch.py")
    log = tmp_path / "job.log"
    options = (*OPTIONS, "hardware.processes=2")
    job = slurm(
        *("sbatch", "--parsable", f"--chdir={tmp_path}", f"--output={log}", "--gpus-per-node=0", "--cpus-per-task=2"),
        *("--time=30", str(ROOT / "docs" / "train.sbatch"), *options),
    )
    run = tmp_path / "runs" / job
    metrics = run / "metrics.jsonl"
    lines = lambda: len(metrics.read_text().splitlines()) if metrics.exists() else 0  # noqa: E731
    preemptions = (
        (lambda: (run / "tensorboard").exists(), ("scontrol", "requeue", job)),
        (lambda: lines() >= 1, ("scancel", "--batch", "--signal=USR1", job)),  # as SLURM does before a time limit
    )
    for times, (at_work, preempt) in enumerate(preemptions, 1):
        wait_for(at_work, log)
        slurm(*preempt)
        wait_for(lambda: queue()[job] == "PENDING", log)
        wait_for(lambda: not processes_of(job), log)
        assert log.read_text().count("interrupted; ") == times, log.read_text()
        assert 0 < saved(run)["batch"] <= 50
        assert state_of(job)["Restarts"] == str(times)
        time.sleep(5)  # started again at once, a job is refused by a node that still ends it
        wait_for(lambda: started(job), log)
    wait_for(lambda: job not in queue(), log)
    said = log.read_text()
    assert (state_of(job)["JobState"], state_of(job)["ExitCode"]) == ("COMPLETED", "0:0"), said
    assert "Traceback" not in said
    assert processes_of(job) == []
    assert launch(*options, "output_dir=whole").code == 0
    check_same(run, tmp_path / "whole")


@pytest.mark.slow
def test_the_tasks_of_a_job_step_train_together(launch: Launch, tmp_path: Path, own_queue: None) -> None:
    options = (*TINY, "limit_train=34", "batch_size=16", "augmentation=cutmix_always")
    (port,) = free_ports(1)
    done = subprocess.run(
        ["srun", "--ntasks=2", sys.executable, str(ROOT / "launch.py"), *options, "output_dir=run"],
        cwd=tmp_path,
        env={**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("epoch 1/1") == 1
    assert read_result(tmp_path / "run")["device"].startswith("2 x ")
    assert launch(*options, "hardware.processes=2", "output_dir=whole").code == 0
    check_same(tmp_path / "run", tmp_path / "whole")
    # Each task has its share of the cores, though srun was not told how many tasks a node has.
    assert read_result(tmp_path / "run")["device"] == read_result(tmp_path / "whole")["device"]
