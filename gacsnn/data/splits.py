"""From training and test images to the three splits, with their transforms and their mean and standard deviation."""

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
    kept, out = held_out(
        training.labels, options.validation, options.split_seed, f"dataset.validation={options.validation}"
    )
    plain = evaluation_transform(size, resize)
    train = training.subset(kept, training_transform(options.augment, size, resize))
    mean, std = options.mean, options.std
    if mean is None or std is None:
        measured = measure(training.subset(kept, plain))
        mean, std = mean or measured[0], std or measured[1]
    validation = training.subset(out, plain) if len(out) else None
    return Splits(train, validation, Images(test.source, test.labels, plain), classes, mean, std)


def held_out(labels: Tensor, fraction: float, seed: int, option: str) -> tuple[Tensor, Tensor]:
    """Indices (kept, held out), both sorted; each class gives `fraction` of its images, as nearly as counts allow. `option` says,
    as it was given, how many.

    Raises:
        InputError: when a class has too few images to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    if fraction == 0:
        return torch.from_numpy(everything), torch.empty(0, dtype=torch.long)
    try:
        kept, out = train_test_split(everything, test_size=fraction, stratify=labels.numpy(), random_state=seed)
    except ValueError as error:
        reason = str(error).split(". ")[0]
        raise InputError(f"{option}: {len(labels)} images cannot be parted so, class by class ({reason})") from None
    return torch.from_numpy(np.sort(kept)), torch.from_numpy(np.sort(out))


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
