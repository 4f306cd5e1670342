"""What a run computes on: the cores of each of several processes."""

import os

import pytest

from gacsnn.runtime.cores import share
from gacsnn.runtime.device import own_cores

STEP = {
    "SLURM_PROCID": "1",
    "SLURM_NTASKS": "2",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
    "SLURM_STEP_TASKS_PER_NODE": "2",
    "MASTER_ADDR": "127.0.0.1",
}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_tasks_of_srun_share_the_cores_unless_each_is_bound_to_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = sorted(os.sched_getaffinity(0))
    half = share(cores, 1, 2)
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    assert own_cores() == half
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", str(len(cores)))
    assert own_cores() == cores
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", str(len(cores) - 1))
    assert own_cores() == half
    # A job's only task may be torchrun, whose processes share what is the task's.
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", str(len(cores)))
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert own_cores() == half
