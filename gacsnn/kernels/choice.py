"""Which kernels serve a device and a type."""

from types import ModuleType

import torch

from gacsnn.kernels import cpu
from gacsnn.kernels.build import BuildError
from gacsnn.kernels.fused import Fused


class NoKernelsError(Exception):
    """Why the plain path is all there is, in a few words."""


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
