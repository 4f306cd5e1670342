"""The leaky integrate-and-fire (LIF) neuron with hard reset, as its formula reads.

Source: Qiu et al., "Gated Attention Coding", AAAI 2024 (arXiv 2308.06582), as their released programs compute it:

    h[t] = decay * v[t-1] + x[t]           v[-1] = 0
    s[t] = 1 if h[t] > threshold else 0    strictly greater: h == threshold does not fire
    v[t] = h[t] * (1 - s[t])

In the backward pass a surrogate stands for ds/dh. `detach_reset` says whether the reset, the factor 1 - s[t],
is a constant there (ImageNet programs) or differentiated as well (CIFAR programs). With g the gradient of s:

    gv[t] = decay * gh[t+1]                                 gh[T] = 0
    gh[t] = (g[t] - gv[t] * h[t]) * ds/dh + gv[t] * (1 - s[t])
    gh[t] = g[t] * ds/dh + gv[t] * (1 - s[t])               where the reset is a constant

and gh[t] is the gradient of x[t], too.
"""

from typing import Any

import torch
from torch import Tensor, nn


def triangle(v_minus_threshold: Tensor, width: float) -> Tensor:
    """max(0, 1 - |x| / width) / width: area 1, zero from `width` on. Width 1 is the paper's CIFAR surrogate.

    SpikingJelly's PiecewiseQuadratic with alpha = 1 / width.
    """
    return (1 - v_minus_threshold.abs() / width).clamp(min=0) / width


def rectangle(v_minus_threshold: Tensor, width: float) -> Tensor:
    """1 / width where |x| < width / 2, else 0. Width 1 is the paper's ImageNet surrogate. SpikingJelly's Rect."""
    return (v_minus_threshold.abs() < width / 2).to(v_minus_threshold.dtype) / width


SURROGATES = {"triangle": triangle, "rectangle": rectangle}

# The constants of the authors' CIFAR and ImageNet programs, of the paper's text for CIFAR, and of Max-ResNet, as
# keyword arguments of LIF.
NEURONS: dict[str, dict[str, Any]] = {
    "cifar": {
        "decay": 0.5,
        "threshold": 1.0,
        "surrogate": "triangle",
        "surrogate_width": 1.0,
        "detach_reset": False,
    },
    "imagenet": {
        "decay": 0.25,
        "threshold": 0.5,
        "surrogate": "rectangle",
        "surrogate_width": 1.0,
        "detach_reset": True,
    },
    "paper": {
        "decay": 0.25,
        "threshold": 0.5,
        "surrogate": "triangle",
        "surrogate_width": 1.0,
        "detach_reset": False,
    },
    "cifar_detached": {
        "decay": 0.5,
        "threshold": 1.0,
        "surrogate": "triangle",
        "surrogate_width": 1.0,
        "detach_reset": True,
    },
}


class LIFFunction(torch.autograd.Function):
    """The recursion over T and, as its derivative, the recursion backwards that the surrogate defines.

    Written out, because autograd through the forward loop would keep and visit five small tensors a step.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, decay: float, threshold: float, surrogate: str, width: float, detach_reset: bool
    ) -> Tensor:
        h = torch.empty_like(current)
        v = torch.zeros_like(current[0])
        for t in range(len(current)):
            torch.add(current[t], v, alpha=decay, out=h[t])
            v = h[t].masked_fill(h[t] > threshold, 0)
        ctx.save_for_backward(h)
        ctx.constants = decay, threshold, surrogate, width, detach_reset
        return (h > threshold).to(current.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (h,) = ctx.saved_tensors
        decay, threshold, surrogate, width, detach_reset = ctx.constants
        ds_dh = SURROGATES[surrogate](h - threshold, width)
        spikes = h > threshold
        gh = gradients[0] * ds_dh
        for t in range(len(h) - 2, -1, -1):
            gv = decay * gh[t + 1]
            if not detach_reset:
                torch.mul(gradients[0][t] - gv * h[t], ds_dh[t], out=gh[t])
            gh[t].add_(gv.masked_fill_(spikes[t], 0))
        return gh, None, None, None, None, None


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons. They keep no state between forward calls.

    Args:
        decay: factor of the membrane potential from one time step to the next, in [0, 1]; snnTorch's `beta`, and
            1 - 1 / `tau` of SpikingJelly's LIFNode with decay_input=False.
        threshold: a neuron fires when its membrane potential is strictly greater; above 0.
        surrogate: shape of ds/dh in the backward pass, "triangle" or "rectangle".
        surrogate_width: see the surrogate's own description; above 0.
        detach_reset: take the reset as a constant in the backward pass.

    Raises:
        ValueError: for an unknown surrogate or a constant out of range.
    """

    def __init__(
        self,
        decay: float = 0.5,
        threshold: float = 1.0,
        surrogate: str = "triangle",
        surrogate_width: float = 1.0,
        detach_reset: bool = False,
    ) -> None:
        super().__init__()
        if surrogate not in SURROGATES:
            raise ValueError(f"surrogate={surrogate!r}: choose one of {', '.join(SURROGATES)}")
        if not (0 <= decay <= 1 and threshold > 0 and surrogate_width > 0):
            raise ValueError(
                f"LIF needs 0 <= decay <= 1, threshold > 0, surrogate_width > 0, "
                f"not decay={decay}, threshold={threshold}, surrogate_width={surrogate_width}"
            )
        self.decay = decay
        self.threshold = threshold
        self.surrogate = surrogate
        self.surrogate_width = surrogate_width
        self.detach_reset = detach_reset
        self.kernels: Any = None  # a `kernels.fused.Fused`; None: the plain path

    def forward(self, current: Tensor, norm: Any = None) -> Tensor:
        """Input current [T, B, ...] -> spikes of the same shape and type, 0 or 1.

        Kernels also take a current that is still to be normalised, by a norm as `kernels/cpu.py` describes it.
        """
        if self.kernels is not None and self.kernels.serves(current):
            return self.kernels.spikes(current, self, norm)
        return LIFFunction.apply(
            current, self.decay, self.threshold, self.surrogate, self.surrogate_width, self.detach_reset
        )

    def extra_repr(self) -> str:
        return (
            f"decay={self.decay}, threshold={self.threshold}, surrogate={self.surrogate}, "
            f"surrogate_width={self.surrogate_width}, detach_reset={self.detach_reset}"
        )
