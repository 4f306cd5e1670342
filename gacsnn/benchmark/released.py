"""The network in the shape of the authors' released programs: what faster paths are compared with, and have to agree with.

A loop over T in each neuron whose steps are stacked, autograd through it, the encoder computed at all T steps, batch norm apart.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from gacsnn.batchnorm import BatchNorm2d
from gacsnn.encoders import GAC, Direct, per_frame
from gacsnn.models import SpikingResNet
from gacsnn.neuron import LIF, SURROGATES


class Spike(torch.autograd.Function):
    """1 where v - threshold is above 0, with the surrogate as its derivative."""

    @staticmethod
    def forward(ctx: Any, v_minus_threshold: Tensor, surrogate: str, width: float) -> Tensor:
        ctx.save_for_backward(v_minus_threshold)
        ctx.surrogate = surrogate, width
        return (v_minus_threshold > 0).to(v_minus_threshold.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (v_minus_threshold,) = ctx.saved_tensors
        surrogate, width = ctx.surrogate
        return gradients[0] * SURROGATES[surrogate](v_minus_threshold, width), None, None


class LoopLIF(nn.Module):
    """The neuron's formula, step by step."""

    def __init__(self, lif: LIF) -> None:
        super().__init__()
        self.lif = lif

    def forward(self, current: Tensor) -> Tensor:
        lif, spikes = self.lif, []
        v = torch.zeros_like(current[0])
        for x in current:
            h = lif.decay * v + x
            s = Spike.apply(h - lif.threshold, lif.surrogate, lif.surrogate_width)
            v = h * (1 - (s.detach() if lif.detach_reset else s))
            spikes.append(s)
        return torch.stack(spikes)


class RepeatedDirect(nn.Module):
    """Direct coding whose stem is computed at every step."""

    def __init__(self, encoder: Direct) -> None:
        super().__init__()
        self.stem, self.T = encoder.stem, encoder.T

    def forward(self, images: Tensor) -> Tensor:
        return per_frame(images.expand(self.T, *images.shape), self.stem)


class RepeatedGAC(nn.Module):
    """GAC whose stem and gate are computed at every step."""

    def __init__(self, encoder: GAC) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        gac = self.encoder
        repeated = images.expand(gac.T, *images.shape)
        current = per_frame(repeated, gac.stem)
        x = current if gac.gate == "stem" else repeated
        pooled = torch.stack([x.mean(dim=(2, 3, 4)), x.amax(dim=(2, 3, 4))])  # [2, T, B]
        temporal = gac.temporal.mlp(pooled.transpose(1, 2)).sum(dim=0).t()
        spatial = per_frame(x, gac.spatial_channel)
        return torch.sigmoid(temporal[:, :, None, None, None] * spatial) * gac.lif(current)


def released(model: SpikingResNet) -> nn.Module:
    """A copy of the network that computes the same in that shape; encoders of pixels repeat their stem as they are."""
    made = copy.deepcopy(model)
    made.use(None)
    encoder = made.encoder
    for module in list(made.modules()):
        if isinstance(module, BatchNorm2d):
            module.repeats = 1  # the frames are there
        for name, child in module.named_children():
            if isinstance(child, LIF):
                setattr(module, name, LoopLIF(child))
    if isinstance(encoder, GAC):
        made.encoder = RepeatedGAC(encoder)  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(encoder, Direct):
        made.encoder = RepeatedDirect(encoder)  # pyright: ignore[reportAttributeAccessIssue]
    return made
