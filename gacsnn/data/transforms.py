"""What is done to each image: torchvision's transforms."""

from torchvision.transforms import v2

from gacsnn.config.schema import Augment

POLICIES = {"cifar10": v2.AutoAugmentPolicy.CIFAR10, "imagenet": v2.AutoAugmentPolicy.IMAGENET}


def training_transform(augment: Augment, size: int, resize: int | None = None) -> v2.Compose:
    """For training images of `size`; `resize` (shorter side) is for images from files, of any size."""
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
    steps = [] if resize is None else [v2.Resize(resize, antialias=True), v2.CenterCrop(size)]
    return v2.Compose([*steps, v2.PILToTensor()])
