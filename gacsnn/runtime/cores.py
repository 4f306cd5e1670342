"""What of a machine is whose: the cores and GPUs of processes that work side by side."""

import os
from pathlib import Path
from typing import TypeVar

# The environment's name for: the cores that this process may use are its own, and shared with none.
SHARED = "GACSNN_CORES_SHARED"


T = TypeVar("T")


def share(cores: list[T], index: int, count: int) -> list[T]:
    """The cores (or GPUs) of one process: consecutive ones, as evenly as they go; one, where processes are more than cores."""
    if count >= len(cores):
        return [cores[index % len(cores)]]
    return cores[index * len(cores) // count : (index + 1) * len(cores) // count]


def visible_gpus() -> list[str]:
    """The GPUs of this machine as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    found = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index in range(len(list(found.iterdir())))] if found.is_dir() else []


# What drivers of GPUs put into /dev: NVIDIA's, that of Windows' Linux, AMD's.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def may_have_gpu() -> bool:
    """Whether PyTorch may find a GPU here; false where it surely finds none."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return bool(visible_gpus())
    return bool(visible_gpus()) or any(Path(driver).exists() for driver in DRIVERS)
