"""What is done to a training batch: CutMix or mix-up.

CutMix: Yun et al., ICCV 2019, with the box of the GAC programs. Mix-up: Zhang et al., ICLR 2018.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gacsnn.config.schema import Augmentation


def cutmix_box(width: int, height: int, lam: float, cx: int, cy: int) -> tuple[int, int, int, int]:
    """The box (x1, y1, x2, y2) around (cx, cy) that covers about 1 - lam of the image, clipped to it."""
    side = math.sqrt(1 - lam)
    half_width, half_height = int(width * side) // 2, int(height * side) // 2

    def clip(value: int, most: int) -> int:
        return min(max(value, 0), most)

    return (
        clip(cx - half_width, width),
        clip(cy - half_height, height),
        clip(cx + half_width, width),
        clip(cy + half_height, height),
    )


@dataclass(frozen=True)
class Draw:
    """How images are mixed: lam is the fraction of the own image, (x, y) the box's centre in fractions of the image."""

    method: str = "none"
    lam: float = 1.0
    x: float = 0.0
    y: float = 0.0


def draw(augmentation: Augmentation) -> Draw:
    """CutMix, mix-up or neither, and how, from PyTorch's global generator."""
    if not augmentation.cutmix_probability and not augmentation.mixup_probability:
        return Draw()
    chance = torch.rand(()).item()
    if chance < augmentation.cutmix_probability:
        x, y = torch.rand(2).tolist()
        return Draw("cutmix", beta(augmentation.cutmix_alpha), x, y)
    if chance < augmentation.cutmix_probability + augmentation.mixup_probability:
        return Draw("mixup", beta(augmentation.mixup_alpha))
    return Draw()


def beta(alpha: float) -> float:
    return float(torch.distributions.Beta(alpha, alpha).sample())


@dataclass(frozen=True)
class Mixed:
    """A mixed batch: the loss is lam * loss(labels) + (1 - lam) * loss(partners)."""

    images: Tensor
    labels: Tensor
    partners: Tensor
    lam: float


def partners(count: int, drawn: Draw) -> Tensor | None:
    """With which image of the batch each is mixed, from PyTorch's global generator: a permutation; None: with none."""
    return None if drawn.method == "none" else torch.randperm(count)


def mix(images: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, drawn: Draw) -> Mixed:
    """Mix images with their partners as drawn: floating [B, 3, H, W], labels [B]."""
    if drawn.method == "none":
        return Mixed(images, labels, labels, 1.0)
    if drawn.method == "mixup":
        return Mixed(images.lerp(others, 1 - drawn.lam), labels, other_labels, drawn.lam)
    width, height = images.shape[2:]  # W is dimension 2 and H dimension 3, as in the reference
    x1, y1, x2, y2 = cutmix_box(width, height, drawn.lam, int(drawn.x * width), int(drawn.y * height))
    mixed = images.clone()
    mixed[:, :, x1:x2, y1:y2] = others[:, :, x1:x2, y1:y2]
    lam = 1 - (x2 - x1) * (y2 - y1) / (width * height)
    return Mixed(mixed, labels, other_labels, lam)
