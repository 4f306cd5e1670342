"""Random numbers that belong to an image: the same in whatever batch, on whatever process or device it is computed.

A generator's state depends on all that was drawn before, so on the batches and processes. Here each image has a key, a
64-bit integer, and its numbers are a hash of the key and of their place: SplitMix64 (Steele et al., OOPSLA 2014) as a
counter-based generator.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_keys: ContextVar[Tensor | None] = ContextVar("keys", default=None)

# What numbers are drawn for, so that two uses of a key share none.
POISSON, DROPOUT = 1, 2

STEP = 0x9E3779B97F4A7C15


@contextmanager
def keyed(keys: Tensor | None) -> Iterator[None]:
    """Draw by these keys, int64 [B], one an image of the batch, while the context lasts. None: by PyTorch's generator."""
    token = _keys.set(keys)
    try:
        yield
    finally:
        _keys.reset(token)


def by_key() -> bool:
    """Whether the images of the batch at work have keys."""
    return _keys.get() is not None


def uniform(shape: Sequence[int], purpose: int) -> Tensor:
    """Numbers in [0, 1) by the keys of the batch: float32 [B, *shape], multiples of 2**-24, on the keys' device."""
    keys = _keys.get()
    assert keys is not None
    places = torch.arange(1, 1 + torch.Size(shape).numel(), device=keys.device)
    start = mixed(keys + signed(STEP * purpose))
    bits = mixed(start[:, None] + places * signed(STEP))
    return (shifted(bits, 40).float() * 2.0**-24).view(len(keys), *shape)


def mixed(x: Tensor) -> Tensor:
    """SplitMix64's finaliser; int64 wraps round as unsigned integers do."""
    x = (x ^ shifted(x, 30)) * signed(0xBF58476D1CE4E5B9)
    x = (x ^ shifted(x, 27)) * signed(0x94D049BB133111EB)
    return x ^ shifted(x, 31)


def shifted(x: Tensor, places: int) -> Tensor:
    """To the right, zeros coming in: torch's own shift brings the sign in."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def signed(x: int) -> int:
    """The int64 with the same lowest 64 bits."""
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x
