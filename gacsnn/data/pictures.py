"""Pictures and labels, the same for every source: what a split is, how its batches are drawn.

Which pictures make a batch and how each is augmented depends on (seed, epoch, position) alone, so neither the number of
worker processes nor an interruption changes a run.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms.v2 import Transform

from gacsnn.errors import InputError


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """One split. An item is asked for by (index, seed of its augmentation); it is (uint8 [3, H, W], label).

    `images` is either one tensor, uint8 [N, 3, H, W], or a list of N picture files.
    """

    def __init__(self, images: Tensor | Sequence[str], labels: Tensor, transform: Transform | None = None) -> None:
        assert len(images) == len(labels)
        self.images = images
        self.labels = labels
        self.transform = transform

    @property
    def in_memory(self) -> bool:
        return isinstance(self.images, Tensor)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
        index, seed = item
        image = self.images[index]
        picture: Any = image if isinstance(image, Tensor) else decode(image)
        if self.transform is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                picture = self.transform(picture)
        return picture, self.labels[index]

    def subset(self, indices: Tensor, transform: Transform | None = None) -> "Pictures":
        """These pictures only, with this transform."""
        images = self.images[indices] if isinstance(self.images, Tensor) else [self.images[i] for i in indices.tolist()]
        return Pictures(images, self.labels[indices], transform)

    def limited(self, limit: int | None) -> "Pictures":
        """At most `limit` pictures, always the same, drawn over the whole split (folders are sorted by class)."""
        if limit is None or limit >= len(self):
            return self
        drawn = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:limit]
        return self.subset(drawn.sort().values, self.transform)


@dataclass(frozen=True)
class Splits:
    """A data set, ready to be drawn from. mean and std are of pixels in [0, 1]."""

    train: Pictures
    validation: Pictures | None
    test: Pictures
    classes: list[str]
    mean: list[float]
    std: list[float]

    def for_evaluation(self, split: str) -> Pictures | None:
        """A split by name, its pictures without augmentation."""
        pictures = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        return pictures and Pictures(pictures.images, pictures.labels, self.test.transform)

    def limited(self, train: int | None, evaluation: int | None) -> "Splits":
        validation = None if self.validation is None else self.validation.limited(evaluation)
        return replace(self, train=self.train.limited(train), validation=validation, test=self.test.limited(evaluation))


def decode(path: str) -> Image.Image:
    """A picture file as RGB.

    Raises:
        InputError: naming the file, when it is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be decoded as a picture ({str(error).replace(repr(str(path)), 'the file')}); remove it, "
            "or leave out all such with dataset.check_pictures=true dataset.bad_pictures=skip"
        ) from None


Loader = DataLoader[tuple[Tensor, Tensor]]


class Order(Sampler[list[tuple[int, int]]]):
    """The batches of an epoch, as lists of (index, seed): shuffled for training, in order for evaluation."""

    def __init__(self, length: int, batch_size: int, shuffle: bool, seed: int) -> None:
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(mixed)
        indices = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        seeds = torch.randint(2**62, (self.length,), generator=generator)
        pairs = list(zip(indices.tolist(), seeds.tolist(), strict=True))
        for start in range(0, self.length, self.batch_size):
            yield pairs[start : start + self.batch_size]


@contextmanager
def batches(
    pictures: Pictures, batch_size: int, *, shuffle: bool, seed: int, workers: int, pin_memory: bool
) -> Iterator[Loader]:
    """A loader of (uint8 [B, 3, H, W], labels [B]). Call `begin_epoch` before each training epoch.

    Its worker processes end with the context.
    """
    loader: Loader = DataLoader(
        pictures,
        batch_sampler=Order(len(pictures), batch_size, shuffle, seed),
        num_workers=workers,
        generator=torch.Generator(),  # else it draws from the global one, more or less often as there are workers
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=leave_ctrl_c_to_the_main_process if workers else None,
    )
    try:
        yield loader
    finally:
        # Left to the garbage collector, they may outlive a Ctrl-C, and torch then reports them as killed.
        if loader._iterator is not None and workers:
            loader._iterator._shutdown_workers()  # type: ignore[attr-defined]


def begin_epoch(loader: Loader, epoch: int) -> None:
    """Choose the order and the augmentation of the coming epoch."""
    assert isinstance(loader.batch_sampler, Order)
    loader.batch_sampler.epoch = epoch


def leave_ctrl_c_to_the_main_process(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def held_out(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices (kept, held out), both sorted; each class gives `share` of its pictures, as nearly as counts allow.

    Raises:
        InputError: when a class has too few pictures to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    if share == 0:
        return torch.from_numpy(everything), torch.empty(0, dtype=torch.long)
    try:
        kept, out = train_test_split(everything, test_size=share, stratify=labels.numpy(), random_state=seed)
    except ValueError as error:
        raise InputError(f"cannot hold out {share:.3g} of {len(labels)} pictures by class: {error}") from None
    return torch.from_numpy(np.sort(kept)), torch.from_numpy(np.sort(out))


def measure(pictures: Pictures, most: int = 10_000) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, pixels in [0, 1], over at most `most` pictures of a split."""
    sample = pictures.limited(most)
    count, total, squares = 0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for index in range(len(sample)):
        pixels = sample[index, 0][0].double().flatten(1) / 255
        count += pixels.shape[1]
        total += pixels.sum(dim=1)
        squares += pixels.square().sum(dim=1)
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=1 / 255)
    return [round(value, 6) for value in mean.tolist()], [round(value, 6) for value in std.tolist()]
