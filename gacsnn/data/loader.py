"""The batches of a split.

Which images make a batch and how each is augmented depends on (seed, epoch, position) alone, so neither the number of
worker processes nor an interruption changes a run. Of several processes that train together each takes its slice of
each batch, which is the same however many they are.
"""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gacsnn.data.images import Images
from gacsnn.data.seeds import seed_of
from gacsnn.runtime.ranks import ALONE, Rank
from gacsnn.runtime.signals import leave_signals_to_parent, uninterrupted

Batch = tuple[Tensor, Tensor, Tensor]


class Loader(DataLoader[Batch]):
    """PyTorch's own, whose worker processes end whatever comes while they start or end.

    They ignore signals, and Python waits for its children at its end: for one that the loader does not know of, forever.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        if not self.num_workers or self._iterator is not None:
            return super().__iter__()
        before = set(multiprocessing.active_children())
        with uninterrupted():
            try:
                return super().__iter__()
            except BaseException:  # there may be no room for another process
                for worker in set(multiprocessing.active_children()) - before:
                    worker.kill()
                raise

    def end_workers(self) -> None:
        """Left to the garbage collector, they may outlive a Ctrl-C, and torch then reports them as killed."""
        if self._iterator is None or not self.num_workers:
            return
        with uninterrupted():
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]
            for worker in self._iterator._workers:  # type: ignore[attr-defined]
                worker.kill()  # torch has waited for it, and sent it a signal that it ignores


def slice_of(count: int, rank: Rank) -> slice:
    """The part of a batch of `count` images that one process takes; they differ by one image at most, and may be empty."""
    return slice(count * rank.index // rank.size, count * (rank.index + 1) // rank.size)


def shares_of(count: int, size: int) -> list[int]:
    """How many images of a batch each of so many processes takes."""
    slices = [slice_of(count, Rank(index, size)) for index in range(size)]
    return [each.stop - each.start for each in slices]


class Keyed(Dataset[Batch]):
    """Images, labels and, as the key of what else is drawn for an image, the seed of its augmentation."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, items: list[tuple[int, int]]) -> Batch:
        """What PyTorch's loader asks for: a whole batch."""
        return *self.images.batch(items), torch.tensor([key for _, key in items], dtype=torch.long)


def as_it_is(batch: Any) -> Batch:
    return batch


class EpochBatchSampler(Sampler[list[tuple[int, int]]]):
    """A process's part of the batches of an epoch, as lists of (index, seed): shuffled for training, else in order."""

    def __init__(self, length: int, batch_size: int, shuffle: bool, seed: int, rank: Rank) -> None:
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        indices = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        seeds = torch.randint(2**62, (self.length,), generator=generator)
        pairs = list(zip(indices.tolist(), seeds.tolist(), strict=True))
        for start in range(self.first_batch * self.batch_size, self.length, self.batch_size):
            batch = pairs[start : start + self.batch_size]
            yield batch[slice_of(len(batch), self.rank)]


@contextmanager
def batches(
    images: Images,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int,
    workers: int,
    pin_memory: bool,
    rank: Rank = ALONE,
) -> Iterator[Loader]:
    """A loader of (uint8 [B, 3, H, W], labels [B], keys [B]). Call `begin_epoch` before each training epoch.

    `batch_size` is that of all processes together. Its worker processes end with the context.
    """
    loader = Loader(
        Keyed(images),
        batch_sampler=EpochBatchSampler(len(images), batch_size, shuffle, seed, rank),
        collate_fn=as_it_is,
        num_workers=workers,
        generator=torch.Generator(),  # else it draws from the global one, more or less often as there are workers
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=leave_signals_to_parent if workers else None,
    )
    try:
        yield loader
    finally:
        loader.end_workers()


def image_count(loader: Loader) -> int:
    """How many images an epoch has, over all processes."""
    assert isinstance(loader.batch_sampler, EpochBatchSampler)
    return loader.batch_sampler.length


def batch_count(loader: Loader, batch: int) -> int:
    """How many images the batch of that number has, over all processes."""
    sampler = loader.batch_sampler
    assert isinstance(sampler, EpochBatchSampler)
    return min(sampler.batch_size, sampler.length - batch * sampler.batch_size)


def begin_epoch(loader: Loader, epoch: int, first_batch: int = 0) -> None:
    """Choose the order and the augmentation of the coming epoch, and the batch with which it goes on."""
    assert isinstance(loader.batch_sampler, EpochBatchSampler)
    loader.batch_sampler.epoch = epoch
    loader.batch_sampler.first_batch = first_batch
