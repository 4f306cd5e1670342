"""Which of several processes this one is, as its launcher says: torchrun, srun, or our own (`spawn.py`)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from gacsnn.errors import InputError


@dataclass(frozen=True)
class Rank:
    """`index` of `size` processes that train one network; `local_index` of `local_size` on this machine."""

    index: int = 0
    size: int = 1
    local_index: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes, and speaks."""
        return self.index == 0


ALONE = Rank()

# The environment's name of a folder where the processes that `tasks/spawn.py` starts find each other: no port to be taken.
MEETING = "GACSNN_MEETING"

# What each launcher calls the four. Of its last one srun says all nodes' in one: 2(x3),1.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
SRUN = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")


def this_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """The rank of this process; the only one, where no launcher has said anything.

    srun's variables are in every job of one task as well, and in what a job starts by itself, so they count only with a
    MASTER_ADDR, which the batch script sets.

    Raises:
        InputError: when the variables are no numbers.
    """
    for names in (TORCHRUN, SRUN):
        if names[0] in environment and names[1] in environment and (names is TORCHRUN or "MASTER_ADDR" in environment):
            given = [environment.get(name, default) for name, default in zip(names, ("", "", "0", "1"), strict=True)]
            if names is SRUN:
                given[3] = environment.get(names[3], environment.get("SLURM_TASKS_PER_NODE", "1"))
            node = environment.get("SLURM_NODEID", "0") if names is SRUN else "0"
            try:
                return Rank(int(given[0]), int(given[1]), int(given[2]), expanded(given[3])[int(node)])
            except (ValueError, IndexError):
                said = ", ".join(f"{name}={value}" for name, value in zip(names, given, strict=True))
                raise InputError(f"the environment's {said} should be numbers; unset them, or use torchrun") from None
    return ALONE


def expanded(tasks: str) -> list[int]:
    """How many tasks each node has, as SLURM abbreviates it: 2(x3),1 -> [2, 2, 2, 1]."""
    counts = []
    for part in tasks.split(","):
        count, _, times = part.removesuffix(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts
