"""What is done to each image: torchvision's transforms; and the commonest of them to a batch at once."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from gacsnn.config.schema import Augment

POLICIES = {"cifar10": v2.AutoAugmentPolicy.CIFAR10, "imagenet": v2.AutoAugmentPolicy.IMAGENET}


class Geometric(v2.Compose):
    """A random crop of an image's own size out of its padding, a flip of one image in two, a random rotation by up to so many
    degrees; each may be left out."""

    def __init__(self, size: int, padding: int = 0, flip: bool = False, rotation: float = 0.0) -> None:
        steps: list[v2.Transform] = [v2.RandomCrop(size, padding=padding)] if padding else []
        steps += [v2.RandomHorizontalFlip()] if flip else []
        steps += [v2.RandomRotation([-rotation, rotation], v2.InterpolationMode.BILINEAR)] if rotation else []
        super().__init__([*steps, v2.PILToTensor()])
        self.padding, self.flip, self.rotation = padding, flip, rotation

    def of_batch(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """uint8 [B, 3, H, W], each image as the transform makes it after the default generator was given its seed."""
        if not (self.padding or self.flip or self.rotation) or len(images) == 0:
            return images
        places, flips, angles = self.drawn(seeds)
        if self.padding or self.flip:
            images = cropped(images, self.padding, places, flips < 0.5)
        return rotated(images, angles.tolist()) if self.rotation else images

    def drawn(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each image: where the crop begins, [B, 2], a number below 0.5 for a flip, and the rotation's angle, degrees."""
        places, flips, angles = (
            torch.zeros(len(seeds), 2, dtype=torch.long),
            torch.ones(len(seeds)),
            torch.zeros(len(seeds)),
        )
        generator = torch.Generator()
        each = zip(seeds, places.unbind(), flips.unbind(), angles.unbind(), strict=True)
        for seed, place, flip, angle in each:
            generator.manual_seed(seed)
            if self.padding:
                place.random_(0, 2 * self.padding + 1, generator=generator)
            if self.flip:
                flip.uniform_(generator=generator)
            if self.rotation:
                angle.uniform_(-self.rotation, self.rotation, generator=generator)
        return places, flips, angles


def cropped(images: Tensor, padding: int, places: Tensor, flipped: Tensor) -> Tensor:
    """A window of each image's own size out of its padding, from `places` on, mirrored where `flipped`."""
    height, width = images.shape[2:]
    padded = F.pad(images, 4 * [padding])
    rows = places[:, :1] + torch.arange(height)
    columns = torch.arange(width).expand(len(images), width)
    columns = places[:, 1:] + torch.where(flipped[:, None], columns.flip(-1), columns)
    pixels = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).flatten(1)[:, None]
    return padded.flatten(2).gather(2, pixels.expand(-1, images.shape[1], -1)).view(images.shape)


def rotated(images: Tensor, degrees: Sequence[float]) -> Tensor:
    """Each image by its angle, as torchvision's bilinear rotation of a tensor does it, which darkens the border twice."""
    height, width = images.shape[2:]
    turns = [math.radians(-(angle % 360)) for angle in degrees]
    theta = torch.tensor([[[math.cos(t), math.sin(t), 0.0], [-math.sin(t), math.cos(t), 0.0]] for t in turns])
    x, y = (torch.linspace((1.0 - size) * 0.5, (size - 1.0) * 0.5, steps=size) for size in (width, height))
    place = torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width)], dim=-1)
    scaled = theta.transpose(1, 2) / torch.tensor([0.5 * width, 0.5 * height])
    grid = torch.matmul(place.view(1, -1, 3), scaled).view(-1, height, width, 2)
    inside = F.pad(images.float(), (0, 0, 0, 0, 0, 1), value=1.0)
    sampled = F.grid_sample(inside, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (sampled[:, :-1] * sampled[:, -1:]).round().to(images.dtype)


def training_transform(augment: Augment, size: int, resize: int | None = None) -> v2.Compose:
    """For training images of `size`; `resize` (shorter side) is for images from files, of any size."""
    if not (augment.resized_crop or resize is not None or augment.auto_augment != "none"):
        return Geometric(size, augment.crop_padding, augment.flip, augment.rotation)
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
        steps.append(v2.RandomRotation([-augment.rotation, augment.rotation], v2.InterpolationMode.BILINEAR))
    if augment.auto_augment != "none":
        steps.append(v2.AutoAugment(POLICIES[augment.auto_augment]))
    return v2.Compose([*steps, v2.PILToTensor()])


def evaluation_transform(size: int, resize: int | None = None) -> v2.Compose:
    """The same image every time: for files, shorter side to `resize`, then the centre of `size`."""
    if resize is None:
        return Geometric(size)
    return v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(size), v2.PILToTensor()])
