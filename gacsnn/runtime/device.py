"""What a run computes on: device, precision, threads, memory format, worker processes."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from gacsnn.config.schema import Hardware
from gacsnn.errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """The chosen device and how it is used."""

    device: torch.device
    precision: str
    memory_format: torch.memory_format
    workers: int | None

    def autocast(self) -> torch.autocast:
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def loader_workers(self, in_memory: bool) -> int:
        """Images in memory need no processes; files get one a core, 8 at most."""
        if self.workers is not None:
            return self.workers
        return 0 if in_memory else min(8, os.cpu_count() or 1)

    def describe(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{processor()}, {torch.get_num_threads()} threads"


def prepare_machine(options: Hardware) -> Machine:
    """Choose the device and set the number of threads.

    Raises:
        InputError: when CUDA is asked for and PyTorch finds none.
    """
    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise InputError(
            "hardware=cuda: PyTorch finds no CUDA device here; hardware=cpu runs on the processor, "
            "hardware=auto on whatever there is"
        )
    device = torch.device("cpu" if options.device == "cpu" or not available else "cuda")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    memory_format = torch.channels_last if options.channels_last else torch.contiguous_format
    return Machine(device, options.precision, memory_format, options.workers)


def processor() -> str:
    """The processor's name, as Linux gives it, else as Python does."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
