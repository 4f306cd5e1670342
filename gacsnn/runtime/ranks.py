"""Which of several processes this one is, as its launcher says: torchrun, srun, or our own (`spawn.py`)."""

import os
import re
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

# What each launcher calls the four.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
SRUN = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE")

# What srun says of all nodes in every step: `2(x3),1` tasks, and which of them this one is. It is what was done; the fourth of
# SRUN is only there when it was asked for, and then it is an upper bound.
OF_NODES, NODE = "SLURM_STEP_TASKS_PER_NODE", "SLURM_NODEID"


def this_rank(environment: Mapping[str, str] = os.environ) -> Rank:
    """The rank of this process; the only one, where no launcher has said anything.

    srun's variables are in every job of one task as well, and in what a job starts by itself, so they count only with a
    MASTER_ADDR, which the batch script sets.

    Raises:
        InputError: when the variables are no numbers, or no rank of a group; when there is a RANK or a WORLD_SIZE alone.
    """
    lone = [name for name in TORCHRUN[:2] if name in environment]
    if len(lone) == 1:
        missing = next(name for name in TORCHRUN[:2] if name not in environment)
        raise InputError(
            f"the environment has {lone[0]}={environment[lone[0]]} and no {missing}; unset it, or start the processes by torchrun"
        )
    for names in (TORCHRUN, SRUN):
        if names[0] in environment and names[1] in environment and (names is TORCHRUN or "MASTER_ADDR" in environment):
            said = {
                name: environment.get(name, default) for name, default in zip(names, ("", "", "0", "1"), strict=True)
            }
            listed = names is SRUN and OF_NODES in environment and NODE in environment
            if listed:
                said = {name: environment[name] for name in (*names[:3], NODE, OF_NODES)}
            try:
                index, size, local_index, last, *_ = said.values()
                local_size = tasks_of(int(last), environment[OF_NODES]) if listed else int(last)
                rank = Rank(int(index), int(size), int(local_index), local_size)
                if not (0 <= rank.index < rank.size and rank.local_index >= 0 and rank.local_size > 0):
                    raise ValueError(rank)
                return rank
            except ValueError:
                shown = ", ".join(f"{name}={value}" for name, value in said.items())
                raise InputError(
                    f"the environment's {shown} should be numbers, and a rank from 0 below the size; unset them, or use torchrun"
                ) from None
    return ALONE


def tasks_of(node: int, listed: str) -> int:
    """How many tasks a node has, counted from 0, where SLURM lists those of all: `2(x3),1` is 2, 2, 2 and 1.

    Raises:
        ValueError: when it is no such list, or has no such node.
    """
    before = 0
    for part in listed.split(","):
        found = re.fullmatch(r"([0-9]+)(?:\(x([0-9]+)\))?", part)
        if found is None:
            raise ValueError(f"{listed}: no list of tasks per node")
        before += int(found[2] or 1)
        if 0 <= node < before:
            return int(found[1])
    raise ValueError(f"{listed}: has no node {node}")
