"""Which kernels serve a device and a type."""

from types import ModuleType

import torch

from gacsnn.kernels import cpu
from gacsnn.kernels.build import BuildError
from gacsnn.kernels.fused import Fused

# What has been proven by an interpreter and a compiler alone is used where it is asked for by name, until a GPU has run
# tests/unit/kernels/test_gpu.py.
UNTRIED = {"cuda"}


class NoKernelsError(Exception):
    """Why the plain path is all there is, in a few words."""


def automatic(device: str, dtype: torch.dtype) -> Fused:
    """The fused steps on a device, where there are such and they have been tried there.

    Raises:
        NoKernelsError: when there are none.
    """
    if device in UNTRIED:
        raise NoKernelsError(f"those for {device} have never run on a GPU; hardware.kernels=fused tries them")
    return fused(device, dtype)


def fused(device: str, dtype: torch.dtype) -> Fused:
    """The fused steps on a device, for activations of this type.

    Raises:
        NoKernelsError: when there are none.
    """
    kernels = backend(device)
    if dtype not in kernels.TYPES:
        raise NoKernelsError(f"there are none for {str(dtype).removeprefix('torch.')} on {device}")
    try:
        kernels.prepare()
    except BuildError as error:
        raise NoKernelsError(str(error)) from None
    return Fused(kernels)


def backend(device: str) -> ModuleType:
    """The module with a device's kernels. Triton is imported where a GPU asks for it, and not before: it takes its time.

    Raises:
        NoKernelsError: when there is none.
    """
    if device == cpu.DEVICE:
        return cpu
    if device != "cuda":
        raise NoKernelsError(f"there are none for {device}")
    try:
        from gacsnn.kernels import gpu
    except ImportError as error:
        raise NoKernelsError(f"Triton cannot be imported ({error})") from None
    return gpu
