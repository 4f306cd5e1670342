"""Which process this is, as torchrun and srun say it."""

import pytest

from gacsnn.errors import InputError
from gacsnn.runtime.cores import share
from gacsnn.runtime.ranks import ALONE, Rank, this_rank

SRUN = {"SLURM_PROCID": "3", "SLURM_NTASKS": "5", "SLURM_LOCALID": "1", "MASTER_ADDR": "node1"}


def test_torchrun_says_all_four() -> None:
    said = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert this_rank(said) == Rank(5, 8, 1, 4)
    assert this_rank({**SRUN, **said}) == Rank(5, 8, 1, 4)


def test_a_job_of_slurm_without_an_address_to_meet_at_is_one_process() -> None:
    assert this_rank({name: value for name, value in SRUN.items() if name != "MASTER_ADDR"}) == ALONE
    assert this_rank({}) == ALONE


@pytest.mark.parametrize(
    ("node", "tasks", "size"),
    [("1", "2(x2),1", 2), ("0", "3,2", 3), ("1", "3,2", 2), ("2", "1,2,2", 2), ("0", "5", 5), ("1", "1(x1),4(x1)", 4)],
)
def test_how_many_tasks_srun_has_on_a_node_is_known_without_ntasks_per_node(node: str, tasks: str, size: int) -> None:
    """Which srun only repeats when it was given. A second task of one would have no core."""
    rank = this_rank({**SRUN, "SLURM_NODEID": node, "SLURM_STEP_TASKS_PER_NODE": tasks})
    assert rank == Rank(3, 5, 1, size)
    assert share(list(range(8)), rank.local_index, rank.local_size)
    job = {**SRUN, "SLURM_NODEID": node, "SLURM_TASKS_PER_NODE": tasks, "SLURM_NTASKS_PER_NODE": "9"}
    assert this_rank(job).local_size == size


def test_what_is_no_number_is_refused() -> None:
    for said in ({"RANK": "x", "WORLD_SIZE": "2"}, {**SRUN, "SLURM_STEP_TASKS_PER_NODE": "many"}):
        with pytest.raises(InputError, match="should be numbers"):
            this_rank(said)
