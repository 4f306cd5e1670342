"""Sweeps on a real SLURM: workers in a job array, requeued, killed, left alone, cancelled."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import torch
from cluster import cluster, queue, slurm, started
from optuna.trial import TrialState
from program import FOLDER, SEARCH, Launch, read_metrics, read_result, refused, start, wait_for

from gacsnn.sweep.about import storage_beside
from gacsnn.sweep.claims import effective_trials
from gacsnn.sweep.slurm import script
from gacsnn.sweep.storage import open_storage

OURS = (
    "-m",
    *SEARCH,
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.timeout_min=20",
)


@pytest.fixture(scope="module")
def slurmd() -> Iterator[None]:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
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


def load(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=folder.name, storage=open_storage(storage_beside(folder)))


def running(folder: Path) -> list[int]:
    """The processes of the trials at work that have written a checkpoint."""
    if not (folder / "study.json").exists():
        return []
    trials = load(folder).get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    at_work = [t for t in trials if (folder / str(t.number) / "checkpoints" / "last.pt").exists()]
    return [t.user_attrs["owner"]["pid"] for t in at_work]


def task_of(pid: int) -> str:
    """The task of the job array that a process belongs to: `12_0`."""
    environment = dict(
        line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line
    )
    return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"


def check_whole(folder: Path, n_trials: int, epochs: int) -> optuna.Study:
    """No trial lost, none doubled, each epoch of each done once, the test split of the best one read."""
    study = load(folder)
    trials = effective_trials(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * n_trials
    assert len({json.dumps(trial.params) for trial in trials}) == n_trials
    for trial in trials:
        assert [line["epoch"] for line in read_metrics(folder / str(trial.number))] == list(range(1, epochs + 1))
        assert read_result(folder / str(trial.number))["validation_top1"] == trial.value
    results = [read_result(folder / str(trial.number)) for trial in trials]
    assert sum(result["top1"] is not None for result in results) == 1
    return study


def requeue(task: str, _pid: int) -> None:
    slurm("scontrol", "requeue", task)


def warn(task: str, _pid: int) -> None:
    """As SLURM does before the time is over."""
    slurm("scancel", "--batch", "--signal=USR1", task)


def kill(_task: str, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("disturb", [requeue, warn, kill])
def test_workers_of_an_array_share_the_trials_and_one_that_is_disturbed_comes_back(
    launch: Launch, tmp_path: Path, own_queue: None, disturb: Callable[[str, int], None]
) -> None:
    folder, options = tmp_path / FOLDER, ("epochs=60",)
    process = start(tmp_path, *OURS, *options, "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2")
    wait_for(lambda: len(running(folder)) == 2, process)
    pid = running(folder)[0]
    (victim,) = (trial.number for trial in load(folder).trials if trial.user_attrs["owner"]["pid"] == pid)
    task = task_of(pid)
    disturb(task, pid)
    wait_for(lambda: queue().get(task) == "PENDING", process)
    time.sleep(5)  # started again at once, a job is refused by a node that still ends it
    wait_for(lambda: started(task), process)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    study = check_whole(folder, 6, epochs=60)
    assert ("was killed" in study.trials[victim].user_attrs["reason"]) == (disturb is kill)
    (retried,) = (trial for trial in study.trials if "retry_of" in trial.user_attrs)
    assert len({trial.user_attrs["owner"]["pid"] for trial in study.trials}) == 3, "the requeued worker took no trial"
    assert len(list((folder / "slurm").glob("*.log"))) == 2, "another array was submitted"
    assert (folder / "slurm" / f"{task}.log").read_text().count("trial") > 10
    # The trial that was disturbed ends as one that was not.
    params = [f"{name}={value}" for name, value in retried.params.items()]
    run = [option for option in SEARCH if not option.startswith(("sweeps=", "T="))]
    assert launch(*run, *options, *params, "output_dir=whole").code == 0
    cut, whole = (
        torch.load(path / "checkpoints" / "last.pt") for path in (folder / str(retried.number), tmp_path / "whole")
    )
    assert all(torch.equal(cut["model"][name], tensor) for name, tensor in whole["model"].items())
    assert read_metrics(folder / str(retried.number)) == read_metrics(tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_cancels_the_workers_which_save_and_the_same_command_goes_on(tmp_path: Path, own_queue: None) -> None:
    command = (*OURS, "epochs=100", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    process = start(tmp_path, *command)
    wait_for(lambda: len(running(tmp_path / FOLDER)) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert queue() == {}
    reasons = [trial.user_attrs.get("reason") for trial in load(tmp_path / FOLDER).trials]
    assert reasons == ["stopped by SIGTERM"] * 2  # as scancel does it
    process = start(tmp_path, *command)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    check_whole(tmp_path / FOLDER, 2, epochs=100)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_workers_outlive_the_command_and_the_same_command_waits_for_them(
    tmp_path: Path, own_queue: None, number: signal.Signals
) -> None:
    command = (*OURS, "epochs=100", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1")
    process = start(tmp_path, *command)
    wait_for(lambda: running(tmp_path / FOLDER), process)
    process.send_signal(number)
    process.communicate(timeout=30)
    before = queue()
    assert list(before.values()) == ["RUNNING"]
    process = start(tmp_path, *command)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    assert "is at work on it, and waited for" in out
    assert len(list((tmp_path / FOLDER / "slurm").glob("*.log"))) == 1
    study = check_whole(tmp_path / FOLDER, 3, epochs=100)
    assert len({trial.user_attrs["owner"]["pid"] for trial in study.trials}) == 1


@pytest.mark.slow
def test_workers_that_cannot_work_are_not_submitted_again_and_again(
    launch: Launch, tmp_path: Path, own_queue: None
) -> None:
    lost = f"rm -f {tmp_path / FOLDER / 'study.json'}"  # as on a node that does not share the folder
    said = launch(*OURS, "hydra.sweeper.n_trials=2", f"hydra.launcher.setup=['{lost}']", "hydra.sweeper.n_jobs=2")
    assert said.code == 1
    assert "ended with nothing done" in said.err
    assert "has to be on a folder that all nodes share" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.slow
def test_what_slurm_would_not_take_is_refused_before_anything_is_written(
    launch: Launch, tmp_path: Path, own_queue: None
) -> None:
    for option in (
        "hydra.launcher.partition=nowhere",
        "hydra.launcher.cpus_per_task=9",
        "hydra.launcher.gpus_per_node=1",
    ):
        assert "SLURM would not take the jobs: " in refused(launch, tmp_path, *OURS, option)


def test_without_slurm_it_is_said_at_once(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no sbatch here" in refused(launch, tmp_path, *OURS)


def test_a_worker_does_not_begin_a_study_of_its_own(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GACSNN_ARRAY", "1")
    assert "study.json is not on " in refused(launch, tmp_path, "-m", *SEARCH)
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "study.json").touch()
    elsewhere = f"hydra.sweeper.storage=sqlite:///{tmp_path}/local.db"
    assert "hydra.sweeper.storage: " in refused(launch, tmp_path, "-m", *SEARCH, elsewhere)


def test_the_options_of_the_launcher_become_flags() -> None:
    options = {
        **{
            "_target_": "x",
            "submitit_folder": "x",
            "max_num_timeout": 0,
            "python": "python3 -u",
            "stderr_to_stdout": False,
        },
        **{"name": "search", "timeout_min": 90, "mem_gb": 1.5, "tasks_per_node": 1, "nodes": 1, "gpus_per_node": 1},
        **{"partition": "a b", "qos": None, "cpus_per_task": 4, "array_parallelism": 3, "signal_delay_s": 60},
        **{"setup": ["module load cuda"], "srun_args": ["--exclusive"], "use_srun": True},
        "additional_parameters": {"mail-type": "BEGIN", "exclusive": True},
    }
    lines = script(options, 8, ["/the/launch.py", "-m", "T=choice(1, 2)"], Path("/study/slurm")).splitlines()
    flags = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert flags == {
        *("job-name=search", "time=90", "mem=1536M", "ntasks-per-node=1", "nodes=1", "gpus-per-node=1"),
        *("partition='a b'", "cpus-per-task=4", "array=0-7%3", "output=/study/slurm/%A_%a.log", "open-mode=append"),
        *("requeue", "signal=B:USR1@60", "mail-type=BEGIN", "exclusive"),
    }
    command = next(line for line in lines if "launch.py" in line)
    assert lines.index("module load cuda") < lines.index(command)
    words = "srun --kill-on-bad-exit=0 --cpus-per-task=4 --exclusive python3 -u /the/launch.py -m 'T=choice(1, 2)' &"
    assert command == words
    alone = script({**options, "use_srun": False}, 1, ["/the/launch.py"], Path("/study/slurm"))
    assert re.search(r"^python3 -u /the/launch.py &$", alone, re.MULTILINE)
    subprocess.run(["bash", "-n"], input=alone, text=True, check=True)
