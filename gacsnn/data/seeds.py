"""Seeds out of numbers that say what is drawn: of a run, an epoch, a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_of(*numbers: int) -> int:
    """63 bits that depend on all the numbers. Zeros at the end count as nothing."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """PyTorch's global generator on the CPU begins anew by these numbers, and is afterwards as it was before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_of(*numbers))
        yield
