"""What of a machine is whose: the cores and GPUs of processes that work side by side."""

import os
from pathlib import Path
from typing import TypeVar

# The environment's name for: the cores that this process may use are its own, and shared with none.
SHARED = "GACSNN_CORES_SHARED"

# How often a thread that has nothing to do looks for work before it sleeps, and OpenMP's names for that, one of which the user
# may have given. GNU's own number is 300,000: where a core is somebody else's, they wait for a thread that is not running.
SPINS, OF_WAITING = 10_000, ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

T = TypeVar("T")


def share(cores: list[T], index: int, count: int) -> list[T]:
    """The cores (or GPUs) of one process: consecutive ones, as evenly as they go; one, where processes are more than cores."""
    if count >= len(cores):
        return [cores[index % len(cores)]]
    return cores[index * len(cores) // count : (index + 1) * len(cores) // count]


def spin_briefly() -> None:
    """Have threads wait shortly before they sleep: on an idle machine it costs nothing, and beside other work it is many times
    faster. Before torch is loaded, which reads it then.
    """
    if not any(name in os.environ for name in OF_WAITING):
        os.environ[OF_WAITING[0]] = str(SPINS)


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
