"""What is done to each image: torchvision's transforms; and the commonest of them to a batch at once."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from gacsnn.config.schema import Augment

POLICIES = {"cifar10": v2.AutoAugmentPolicy.CIFAR10, "imagenet": v2.AutoAugmentPolicy.IMAGENET}


class CropAndFlip(v2.Compose):
    """A random crop of an image's own size out of its padding, and a flip of one image in two; each may be left out."""

    def __init__(self, size: int, padding: int = 0, flip: bool = False) -> None:
        crop = [v2.RandomCrop(size, padding=padding)] if padding else []
        super().__init__([*crop, *([v2.RandomHorizontalFlip()] if flip else []), v2.PILToTensor()])
        self.padding, self.flip = padding, flip

    def of_batch(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """[B, 3, H, W], each image as the transform makes it after the default generator was given its seed."""
        if not (self.padding or self.flip):
            return images
        places, flips = torch.zeros(len(images), 2, dtype=torch.long), torch.ones(len(images))
        generator = torch.Generator()
        for seed, place, flip in zip(seeds, places.unbind(), flips.unbind(), strict=True):
            generator.manual_seed(seed)
            if self.padding:
                place.random_(0, 2 * self.padding + 1, generator=generator)
            if self.flip:
                flip.uniform_(generator=generator)
        height, width = images.shape[2:]
        padded = F.pad(images, 4 * [self.padding])
        rows = places[:, :1] + torch.arange(height)
        columns = torch.arange(width).expand(len(images), width)
        columns = places[:, 1:] + torch.where(flips[:, None] < 0.5, columns.flip(-1), columns)
        pixels = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).flatten(1)[:, None]
        return padded.flatten(2).gather(2, pixels.expand(-1, images.shape[1], -1)).view(images.shape)


def training_transform(augment: Augment, size: int, resize: int | None = None) -> v2.Compose:
    """For training images of `size`; `resize` (shorter side) is for images from files, of any size."""
    if not (augment.resized_crop or resize is not None or augment.rotation or augment.auto_augment != "none"):
        return CropAndFlip(size, augment.crop_padding, augment.flip)
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
        return CropAndFlip(size)
    return v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(size), v2.PILToTensor()])
