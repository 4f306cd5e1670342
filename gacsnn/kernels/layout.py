"""How tensors [T, B, C, ...] lie in memory, as every backend's kernels walk them.

Each step is dense, with the channels before the image or after it: element i of a step is of channel (i / S) mod C. Steps may all
be the same (an expanded tensor): they are not copied.
"""

import torch
from torch import Tensor


def step_layout(x: Tensor) -> int | None:
    """S: the elements from one channel of a step to the next, or 1; None where a step is not dense."""
    step = x[0]
    if step.is_contiguous():
        return step[0, 0].numel() if step.dim() > 2 else 1
    return 1 if step.dim() == 4 and step.is_contiguous(memory_format=torch.channels_last) else None


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
