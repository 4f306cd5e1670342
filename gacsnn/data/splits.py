"""From training and test images to the three splits, with their transforms and their mean and standard deviation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gacsnn.config.schema import AnyDataset
from gacsnn.data.images import Images
from gacsnn.data.transforms import evaluation_transform, training_transform
from gacsnn.errors import InputError


@dataclass(frozen=True)
class Splits:
    """A data set, ready to be drawn from. mean and std are of pixels in [0, 1]."""

    train: Images
    validation: Images | None
    test: Images
    classes: list[str]
    mean: list[float]
    std: list[float]

    def for_evaluation(self, split: str) -> Images | None:
        """A split by name, its images without augmentation."""
        images = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        return images and Images(images.source, images.labels, self.test.transform)

    def limited(self, train: int | None, evaluation: int | None) -> "Splits":
        validation = None if self.validation is None else self.validation.limited(evaluation)
        return replace(self, train=self.train.limited(train), validation=validation, test=self.test.limited(evaluation))


def split_training(
    training: Images, test: Images, classes: list[str], options: AnyDataset, size: int, resize: int | None = None
) -> Splits:
    """Hold out the validation split, stratified by class; measure mean and std on what is left, where not given."""
    option = f"dataset.validation={options.validation}"
    kept, out = held_out(training.labels, options.validation, options.split_seed, option, classes)
    plain = evaluation_transform(size, resize)
    train = training.subset(kept, training_transform(options.augment, size, resize))
    mean, std = options.mean, options.std
    if mean is None or std is None:
        measured = measure(training.subset(kept, plain))
        mean, std = mean or measured[0], std or measured[1]
    validation = training.subset(out, plain) if len(out) else None
    return Splits(train, validation, Images(test.source, test.labels, plain), classes, mean, std)


def held_out(labels: Tensor, fraction: float, seed: int, option: str, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return indices (kept, held out), both sorted. Each class gives `fraction` of its images, as nearly as counts allow.

    Args:
        option: The option that sets the fraction, with its value, for errors.

    Raises:
        InputError: if a class has too few images for both parts. It names the class and the count.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    if fraction == 0:
        return torch.from_numpy(everything), torch.empty(0, dtype=torch.long)
    try:
        kept, out = train_test_split(everything, test_size=fraction, stratify=labels.numpy(), random_state=seed)
    except ValueError:
        raise too_few(labels, fraction, option, classes) from None
    return torch.from_numpy(np.sort(kept)), torch.from_numpy(np.sort(out))


def too_few(labels: Tensor, fraction: float, option: str, classes: Sequence[str]) -> InputError:
    """Return the error for images that cannot be split with each class in both parts."""
    present, counts = labels.unique(return_counts=True)
    by_count = sorted((int(count), classes[int(label)]) for label, count in zip(present, counts, strict=True))
    alone = [(count, name) for count, name in by_count if count < 2]
    total, least = len(labels), len(by_count)
    if alone:
        return InputError(
            f"{option}: a class needs at least 2 images to be split, but these have fewer: {named(alone)}; add images to them, "
            "or leave them out"
        )
    out = math.ceil(fraction * total)
    low = math.ceil(1000 * least / total) / 1000
    remedy = f"a fraction from {low:g} to {1 - low:g}, or " if low <= 0.5 else ""
    return InputError(
        f"{option}: {out} of {total} images would be held out and {total - out} kept, but each part needs one of each of {least} "
        f"classes; the smallest are {named(by_count)}; take {remedy}more images"
    )


def named(counts: Sequence[tuple[int, str]], most: int = 5) -> str:
    """Return the first few classes with their numbers of images: `ant (3), bee (4), ...`."""
    return ", ".join(f"{name} ({count:,})" for count, name in counts[:most]) + (", ..." if len(counts) > most else "")


def measure(images: Images, most: int = 10_000) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, pixels in [0, 1], over at most `most` images of a split."""
    sample = images.limited(most)
    count, total, squares = 0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for index in range(len(sample)):
        pixels = sample[index, 0][0].double().flatten(1) / 255
        count += pixels.shape[1]
        total += pixels.sum(dim=1)
        squares += pixels.square().sum(dim=1)
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=1 / 255)
    return [round(value, 6) for value in mean.tolist()], [round(value, 6) for value in std.tolist()]
