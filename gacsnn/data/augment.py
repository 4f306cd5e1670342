"""What is done to one picture (torchvision's transforms), and to a training batch (CutMix, mix-up).

CutMix: Yun et al., ICCV 2019, with the box of the GAC programs. Mix-up: Zhang et al., ICLR 2018.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2

from gacsnn.config import Augment, Augmentation

POLICIES = {"cifar10": v2.AutoAugmentPolicy.CIFAR10, "imagenet": v2.AutoAugmentPolicy.IMAGENET}


def training_transform(augment: Augment, size: int, resize: int | None = None) -> v2.Compose:
    """For training pictures of `size`; `resize` (shorter side) is for pictures from files, of any size."""
    steps: list[v2.Transform] = []
    if augment.resized_crop:
        steps.append(v2.RandomResizedCrop(size, antialias=True))
    elif resize is not None:
        steps += [v2.Resize(resize, antialias=True), v2.CenterCrop(size)]
    if augment.crop_padding:
        steps.append(v2.RandomCrop(size, padding=augment.crop_padding))
    if augment.flip:
        steps.append(v2.RandomHorizontalFlip())
    if augment.rotation:
        steps.append(v2.RandomRotation(augment.rotation, v2.InterpolationMode.BILINEAR))
    if augment.auto_augment != "none":
        steps.append(v2.AutoAugment(POLICIES[augment.auto_augment]))
    return v2.Compose([*steps, v2.PILToTensor()])


def evaluation_transform(size: int, resize: int | None = None) -> v2.Compose:
    """The same picture every time: for files, shorter side to `resize`, then the centre of `size`."""
    steps = [] if resize is None else [v2.Resize(resize, antialias=True), v2.CenterCrop(size)]
    return v2.Compose([*steps, v2.PILToTensor()])


def cutmix_box(width: int, height: int, lam: float, cx: int, cy: int) -> tuple[int, int, int, int]:
    """The box (x1, y1, x2, y2) around (cx, cy) that covers about 1 - lam of the picture, clipped to it."""
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
    """How pictures are mixed: lam is the share of the own picture, (x, y) the box's centre in parts of the picture."""

    way: str = "none"
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


def mix(images: Tensor, labels: Tensor, drawn: Draw) -> Mixed:
    """Mix a batch as drawn. Pictures take their partners from a permutation of the batch.

    images are floating [B, 3, H, W], labels [B].
    """
    if drawn.way == "none":
        return Mixed(images, labels, labels, 1.0)
    partner = torch.randperm(len(images)).to(images.device)
    if drawn.way == "mixup":
        return Mixed(images.lerp(images[partner], 1 - drawn.lam), labels, labels[partner], drawn.lam)
    width, height = images.shape[2:]  # W is dimension 2 and H dimension 3, as in the reference
    x1, y1, x2, y2 = cutmix_box(width, height, drawn.lam, int(drawn.x * width), int(drawn.y * height))
    mixed = images.clone()
    mixed[:, :, x1:x2, y1:y2] = images[partner, :, x1:x2, y1:y2]
    share = 1 - (x2 - x1) * (y2 - y1) / (width * height)
    return Mixed(mixed, labels, labels[partner], share)
