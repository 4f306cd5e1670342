"""How tensors [T, B, C, ...] lie in memory, as every backend's kernels walk them.

Each step is dense, with the channels before the image or after it: element i of a step is of channel (i / S) mod C. Steps may all
be the same (an expanded tensor): they are not copied.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def step_layout(x: Tensor) -> int | None:
    """S: the elements from one channel of a step to the next, or 1; None where a step is not dense."""
    shape, strides = x.shape[1:], x.stride()[1:]
    if is_dense(shape, strides):
        return math.prod(shape[2:])
    last = len(shape) == 4 and is_dense(*([*each[:1], *each[2:], each[1]] for each in (shape, strides)))
    return 1 if last else None


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements of such a shape stand side by side, the last dimension's first. (A small network would feel it if a
    tensor was made to see that.)"""
    beside = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != beside:
            return False
        beside *= size
    return True


def dense(x: Tensor) -> tuple[Tensor, int, int]:
    """x, which is not empty, copied where kernels could not walk it, its channels where they were; S; and the elements from one
    step to the next, 0 where all are the same."""
    T, elements = len(x), x.numel() // len(x)
    S = step_layout(x)
    if S is None or (T > 1 and x.stride(0) not in (0, elements)):
        last = x.dim() == 5 and x.shape[2] > 1 and x.stride(2) == 1
        x = x.movedim(2, -1).contiguous().movedim(-1, 2) if last else x.contiguous()
        S = step_layout(x)
        assert S is not None
    return x, S, x.stride(0) if T > 1 else elements


def like(x: Tensor) -> Tensor:
    """An empty tensor with x's order of memory, all steps of its own."""
    return torch.empty_strided(x.shape, (x.numel() // len(x), *x.stride()[1:]), dtype=x.dtype, device=x.device)


def in_order_of(x: Tensor, other: Tensor | None) -> Tensor | None:
    """The other tensor in x's order of memory, and of x's type."""
    if other is None:
        return None
    wanted = (x.numel() // len(x), *x.stride()[1:])
    if other.stride() == wanted and other.dtype == x.dtype:
        return other
    return like(x).copy_(other)
