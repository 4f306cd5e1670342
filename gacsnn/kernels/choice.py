"""Which kernels serve a device and a type."""

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
    if device != cpu.DEVICE:
        raise NoKernelsError(f"there are none for {device}")
    if dtype not in cpu.TYPES:
        raise NoKernelsError(f"there are none for {str(dtype).removeprefix('torch.')} on {device}")
    try:
        cpu.prepare()
    except BuildError as error:
        raise NoKernelsError(str(error)) from None
    return Fused(cpu)
