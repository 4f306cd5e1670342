"""From bytes on the CPU to normalised images on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gacsnn.errors import InputError
from gacsnn.runtime.device import Machine


def scale_and_shift(mean: list[float], std: list[float], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """[3, 1, 1] each. One multiplication and one addition a pixel: x / 255 / std - mean / std."""
    scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
    shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
    return scale.to(dtype).view(3, 1, 1), shift.to(dtype).view(3, 1, 1)


class Normalise:
    """uint8 [B, 3, H, W] -> floating (pixel / 255 - mean) / std, on the machine's device and in its memory format."""

    def __init__(self, mean: list[float], std: list[float], machine: Machine) -> None:
        self.machine = machine
        self.scale, self.shift = (each.to(machine.device) for each in scale_and_shift(mean, std, machine.dtype))

    def __call__(self, images: Tensor) -> Tensor:
        moved = images.to(self.machine.device, non_blocking=True)
        return (moved * self.scale + self.shift).contiguous(memory_format=self.machine.memory_format)


@dataclass(frozen=True)
class Normalisation:
    """The same away from a run: images where they lie, in float32. `mean` and `std` are of the channels, pixels in [0, 1]."""

    mean: list[float]
    std: list[float]

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [..., 3, H, W], or floating from 0 to 1 -> (pixel - mean) / std, float32.

        Raises:
            InputError: for another shape or type, or floating images that go beyond 1.
        """
        if not isinstance(images, Tensor):
            raise InputError(
                f"images: should be a tensor, not {type(images).__name__}; torch.as_tensor(images) makes one"
            )
        whole = images.dtype == torch.uint8
        if images.dim() < 3 or images.shape[-3] != 3 or not (whole or images.is_floating_point()):
            raise InputError(
                f"images: should be uint8 or floating [..., 3, H, W], not {images.dtype} {[*images.shape]}"
            )
        if not whole and images.numel() and not 0 <= float(images.min()) <= float(images.max()) <= 1:
            raise InputError("images: floating ones should be from 0 to 1; those of 0 to 255 are given as uint8")
        scale, shift = (each.to(images.device) for each in scale_and_shift(self.mean, self.std, torch.float32))
        return (images if whole else 255 * images.float()) * scale + shift
