"""The batches of a split.

Which images make a batch and how each is augmented depends on (seed, epoch, position) alone, so neither the number of
worker processes nor an interruption changes a run.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from gacsnn.data.images import Images
from gacsnn.runtime.signals import leave_signals_to_parent

Loader = DataLoader[tuple[Tensor, Tensor]]


class EpochBatchSampler(Sampler[list[tuple[int, int]]]):
    """The batches of an epoch, as lists of (index, seed): shuffled for training, in order for evaluation."""

    def __init__(self, length: int, batch_size: int, shuffle: bool, seed: int) -> None:
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        return -(-self.length // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        mixed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(mixed)
        indices = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        seeds = torch.randint(2**62, (self.length,), generator=generator)
        pairs = list(zip(indices.tolist(), seeds.tolist(), strict=True))
        for start in range(self.first_batch * self.batch_size, self.length, self.batch_size):
            yield pairs[start : start + self.batch_size]


@contextmanager
def batches(
    images: Images, batch_size: int, *, shuffle: bool, seed: int, workers: int, pin_memory: bool
) -> Iterator[Loader]:
    """A loader of (uint8 [B, 3, H, W], labels [B]). Call `begin_epoch` before each training epoch.

    Its worker processes end with the context.
    """
    loader: Loader = DataLoader(
        images,
        batch_sampler=EpochBatchSampler(len(images), batch_size, shuffle, seed),
        num_workers=workers,
        generator=torch.Generator(),  # else it draws from the global one, more or less often as there are workers
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=leave_signals_to_parent if workers else None,
    )
    try:
        yield loader
    finally:
        # Left to the garbage collector, they may outlive a Ctrl-C, and torch then reports them as killed.
        if loader._iterator is not None and workers:
            loader._iterator._shutdown_workers()  # type: ignore[attr-defined]


def image_count(loader: Loader) -> int:
    """How many images an epoch of the loader has."""
    assert isinstance(loader.batch_sampler, EpochBatchSampler)
    return loader.batch_sampler.length


def begin_epoch(loader: Loader, epoch: int, first_batch: int = 0) -> None:
    """Choose the order and the augmentation of the coming epoch, and the batch with which it goes on."""
    assert isinstance(loader.batch_sampler, EpochBatchSampler)
    loader.batch_sampler.epoch = epoch
    loader.batch_sampler.first_batch = first_batch
