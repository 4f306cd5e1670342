"""Several processes that train or measure one network together, by torch.distributed: gloo on CPUs, NCCL on GPUs."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from gacsnn.errors import DivergenceError, GacsnnError, GpuMemoryError, InputError, MachineError, Pruned, file_errors
from gacsnn.runtime import signals
from gacsnn.runtime.console import write_error
from gacsnn.runtime.ranks import ALONE, MEETING, Rank, this_rank
from gacsnn.runtime.signals import StopRequested

T = TypeVar("T")

# How long one process may keep the others waiting: reading a large data set, or a test of it by one alone.
PATIENCE = timedelta(minutes=30)

# How messages of gloo and NCCL show that another process is gone; others of theirs, such as two processes on one GPU, do not.
GONE = (
    *("connection closed", "connection reset", "connection refused", "broken pipe", "pair closure", "connectfullmesh"),
    *("timed out", "timeout", "failed to recv", "ncclremoteerror", "remote process exited"),
)


class Group:
    """The processes, and what they do together. Of one process alone, everything is what it is already."""

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self.size = rank.size
        self.first = rank.first

    def share(self, make: Callable[[], T]) -> T:
        """What `make` gives on the first process, on all; what it raises that is shown as one line, all raise."""
        if self.size == 1:
            return make()
        made: list[Any] = [None, None]
        if self.first:
            try:
                with file_errors("this run"):
                    made[0] = make()
            except (GacsnnError, Pruned) as error:
                made[1] = error
        dist.broadcast_object_list(made, src=0, device=torch.device("cpu"))
        if made[1] is not None:
            if isinstance(made[1], GacsnnError):
                made[1].shared = True
            raise made[1]
        return made[0]

    def highest(self, values: Sequence[int]) -> list[int]:
        """Of each number the greatest on any process."""
        if self.size == 1:
            return list(values)
        reduced = torch.tensor(values)
        dist.all_reduce(reduced, dist.ReduceOp.MAX)
        return reduced.tolist()

    def total(self, values: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gathered(self, rows: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """The rows of each process, in the order of the ranks; `counts` says how many each has."""
        if self.size == 1:
            return [rows]
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        everywhere = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(everywhere, padded)
        return [there[:count] for there, count in zip(everywhere, counts, strict=True)]

    def stop_if_requested(self) -> None:
        """Raises StopRequested on all processes when a signal came to one."""
        signals.stop_if_requested(self.highest([signals.requested()])[0])


_joined: list[Group] = []


def this_group() -> Group:
    """The group that this process has joined, or itself alone."""
    return _joined[-1] if _joined else Group(ALONE)


@contextmanager
def joined(on_gpus: bool) -> Iterator[Group]:
    """Be one of the processes that the launcher has started, while the context lasts.

    Raises:
        InputError: when the launcher does not say where they meet.
        MachineError: when another process is gone, or cannot be reached.
    """
    rank = this_rank()
    if rank.size == 1:
        yield Group(ALONE)
        return
    if on_gpus:
        torch.cuda.set_device(rank.local_index % torch.cuda.device_count())
    failed = True
    try:
        meet(rank, "cpu:gloo,cuda:nccl" if on_gpus else "gloo")
        _joined.append(Group(rank))
        try:
            yield _joined[-1]
        except (StopRequested, Pruned, DivergenceError):
            failed = False  # all processes raise these together
            raise
        dist.barrier()  # who leaves earlier would cut off what others still read
        failed = False
    except (dist.DistError, RuntimeError) as error:
        if not is_gone(error):
            raise
        lost = MachineError(f"process {rank.index} of {rank.size} lost the others: one of them has ended")
        lost.follows = True
        raise lost from error
    except (InputError, MachineError, GpuMemoryError) as error:
        if not rank.first and not getattr(error, "shared", False) and MEETING not in os.environ:
            write_error(f"process {rank.index} of {rank.size}: {error}")  # the first one does not know of it
        raise
    finally:
        _joined.clear()
        if not failed:  # else it would wait for those that are gone
            dist.destroy_process_group()


def is_gone(error: Exception) -> bool:
    return any(words in str(error).lower() for words in GONE)


def meet(rank: Rank, backend: str) -> None:
    """Find the other processes: in a folder that is ours, or where MASTER_ADDR and MASTER_PORT say."""
    folder = os.environ.get(MEETING)
    try:
        dist.init_process_group(
            backend,
            init_method=f"file://{folder}/rendezvous" if folder else "env://",
            rank=rank.index,
            world_size=rank.size,
            timeout=PATIENCE,
        )
    except ValueError as error:
        given = ", ".join(f"{name}={os.environ.get(name, '')}" for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise InputError(
            f"the environment's {given} should say where the {rank.size} processes meet: a host, and a port of it that is free"
        ) from error
