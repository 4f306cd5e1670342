"""What a run computes on: device, precision, threads, memory format, worker processes."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gacsnn.config.schema import Hardware
from gacsnn.errors import InputError
from gacsnn.runtime.console import log
from gacsnn.runtime.cores import SHARED, share
from gacsnn.runtime.group import Group, this_group
from gacsnn.runtime.host import available
from gacsnn.runtime.ranks import TORCHRUN, this_rank

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}


@dataclass(frozen=True)
class Machine:
    """The chosen device and how it is used."""

    device: torch.device
    precision: str
    memory_format: torch.memory_format
    workers: int | None
    group: Group = field(default_factory=this_group)

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and normalised images: that of lower precisions is float32, and autocast does the rest."""
        return torch.float64 if self.precision == "fp64" else torch.float32

    def autocast(self) -> torch.autocast:
        dtype = PRECISIONS[self.precision]
        # A pass uses each weight once, so that nothing is gained by a cache of them, which a CUDA graph cannot have.
        low = self.precision in ("bf16", "fp16")
        return torch.autocast(self.device.type, dtype=dtype, enabled=low, cache_enabled=False)

    def exact(self, x: Tensor) -> Tensor:
        """In float32 at least: for losses and sums."""
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def loader_workers(self, in_memory: bool) -> int:
        """Images in memory need no processes; files get one a core, 8 at most."""
        if self.workers is not None:
            return self.workers
        return 0 if in_memory else min(8, len(own_cores()))

    def describe(self) -> str:
        if self.device.type == "cuda":
            one = torch.cuda.get_device_name(self.device)
        else:
            one = f"{processor()}, {torch.get_num_threads()} threads"
        return one if self.group.size == 1 else f"{self.group.size} x {one}"


def on_gpu(options: Hardware) -> bool:
    return options.device != "cpu" and torch.cuda.is_available()


def own_cores() -> list[int]:
    """The cores of this process: its share of the machine's, of which torchrun gives all to each process.

    srun does, too, or binds each process to its own, as SLURM is set up.
    """
    cores, rank = sorted(os.sched_getaffinity(0)), this_rank()
    bound = TORCHRUN[0] not in os.environ and len(cores) <= int(os.environ.get("SLURM_CPUS_PER_TASK", 0))
    return cores if bound or SHARED in os.environ else share(cores, rank.local_index, rank.local_size)


def check_device(options: Hardware) -> None:
    """Raises InputError when CUDA is asked for and PyTorch finds none."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "hardware=cuda: PyTorch finds no CUDA device here; hardware=cpu runs on the processor, "
            "hardware=auto on whatever there is"
        )


def prepare_machine(options: Hardware) -> Machine:
    """Choose the device and set the number of threads.

    Raises:
        InputError: when CUDA is asked for and PyTorch finds none.
    """
    check_device(options)
    device = torch.device("cuda" if on_gpu(options) else "cpu")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
        if options.threads > (cores := len(own_cores())):
            log.warning(
                f"hardware.threads={options.threads}: more than the {cores} cores here, which is slower than {cores}"
            )
    elif this_rank().size > 1:
        torch.set_num_threads(len(own_cores()))  # torchrun says one, whatever there is
    memory_format = torch.channels_last if options.channels_last is True else torch.contiguous_format
    return Machine(device, options.precision, memory_format, options.workers)


def free_memory(device: torch.device) -> int:
    """Bytes that a process may still take: of a GPU's memory, or its share of this machine's, or of the job's own limit."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by the allocator, and unused
        return torch.cuda.mem_get_info(device)[0] + kept
    return available() // this_rank().local_size


def processor() -> str:
    """The processor's name, as Linux gives it, else as Python does."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
