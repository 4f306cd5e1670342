"""From bytes on the CPU to normalised images on the device."""

import torch
from torch import Tensor

from gacsnn.runtime.device import Machine


class Normalise:
    """uint8 [B, 3, H, W] -> floating (pixel / 255 - mean) / std, on the machine's device and in its memory format."""

    def __init__(self, mean: list[float], std: list[float], machine: Machine) -> None:
        self.machine = machine
        # One multiplication and one addition a pixel: x / 255 / std - mean / std.
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.scale = scale.to(machine.dtype).view(3, 1, 1).to(machine.device)
        self.shift = shift.to(machine.dtype).view(3, 1, 1).to(machine.device)

    def __call__(self, images: Tensor) -> Tensor:
        moved = images.to(self.machine.device, non_blocking=True)
        return (moved * self.scale + self.shift).contiguous(memory_format=self.machine.memory_format)
