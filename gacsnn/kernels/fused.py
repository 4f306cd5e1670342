"""Steps of a network between two convolutions, as one autograd function each, over a backend's kernels (`cpu.py`).

What is kept for the backward pass is what a convolution or a block gave: spikes, normalised currents and membrane potentials
are computed again from it. Batch statistics are those of `batchnorm.py`, over all processes where that says so.
"""

# What @once_differentiable makes takes its context by position alone.
# pyright: reportIncompatibleMethodOverride=false

from importlib import import_module
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gacsnn.batchnorm import BatchNorm2d, is_again
from gacsnn.encoders import per_frame
from gacsnn.kernels.layout import dense, like
from gacsnn.neuron import LIF


def norm_of(x: Tensor, bn: BatchNorm2d, kernels: ModuleType) -> tuple[Tensor, float | Tensor]:
    """The norm of [T, B, C, H, W] (`cpu.py`), and of how many values a channel; 0 where it is that of the running statistics.

    Raises:
        ValueError: for one value a channel, which has no variance.
    """
    if not bn.training:
        return kernels.norm(None, 0, bn), 0
    found, count = statistics(x, bn, kernels)
    return kernels.norm(found, count, bn, update=not is_again()), count


def statistics(x: Tensor, bn: BatchNorm2d, kernels: ModuleType) -> tuple[Tensor, float | Tensor]:
    """Mean and biased variance of each channel, of how many values; of all processes' where it is synchronised."""
    here = x.numel() // x.shape[2]
    if not bn.synchronised:
        if here <= 1:
            raise ValueError(f"batch norm in training needs more than 1 value a channel; input {list(x.shape)}")
        return kernels.statistics(x), here
    own = torch.zeros(3, x.shape[2], dtype=torch.float64, device=x.device)
    if here:
        own[0] = here
        own[1:] = kernels.statistics(x)
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    counts, means, variances = torch.stack(every, dim=1)
    count = counts.sum(dim=0)
    if here <= 1 and count[0] <= 1:  # to look at the count is to wait for the GPU
        raise ValueError(f"batch norm in training needs more than 1 value a channel; input {list(x.shape)}")
    mean = (counts * means).sum(dim=0) / count
    variance = (counts * (variances + (means - mean).square())).sum(dim=0) / count
    return torch.stack([mean, variance]), count[0]


def normalisation_gradients(
    sums: Tensor, norm: Tensor, count: float | Tensor, bn: BatchNorm2d, kernels: ModuleType
) -> tuple[Tensor, Tensor, Tensor]:
    everywhere = sums
    if isinstance(count, Tensor):  # the statistics were those of all, whatever has become of the layer since
        everywhere = sums.clone()
        dist.all_reduce(everywhere)
    return kernels.gradients(sums, everywhere, norm, count, bn)


def normalised(x: Tensor, norm: Tensor, shortcut: Tensor | None, kernels: ModuleType) -> Tensor:
    """x normalised, plus the shortcut."""
    return kernels.affine(x, norm[2], norm[3], shortcut)


def gradient(x: Tensor, norm: Tensor, made: Tensor, g: Tensor, kernels: ModuleType, own: bool = False) -> Tensor:
    """The gradient of x, from `gradients` and that of what it was normalised to; `own`: which may be written over."""
    return kernels.affine(x, made[0], made[1], g, norm[2], own)


def convolve(spikes: Tensor, weight: Tensor, conv: nn.Conv2d) -> Tensor:
    """[T, B, ...] through a convolution without a bias."""
    y = torch.conv2d(spikes.flatten(0, 1), weight, None, conv.stride, conv.padding, conv.dilation, 1)
    return y.unflatten(0, spikes.shape[:2])


def of_input(g: Tensor, room: Tensor, weight: Tensor, conv: nn.Conv2d) -> Tensor:
    """The gradient of a convolution's input, of whose values it needs none: `room` is as large, and lies in the same order."""
    room = room if room.dtype == weight.dtype else torch.empty_like(room, dtype=weight.dtype)
    return convolution_gradients(g, room, weight, conv, (True, False, False))[0].unflatten(0, room.shape[:2])


def of_weight(g: Tensor, spikes: Tensor, weight: Tensor, conv: nn.Conv2d) -> Tensor:
    return convolution_gradients(g, spikes.to(weight.dtype), weight, conv, (False, True, False))[1]


def convolution_gradients(
    g: Tensor, x: Tensor, weight: Tensor, conv: nn.Conv2d, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.ops.aten.convolution_backward(
        g.flatten(0, 1),
        x.flatten(0, 1),
        weight,
        None,
        conv.stride,
        conv.padding,
        conv.dilation,
        False,
        [0, 0],
        1,
        wanted,
    )


def room_for_spikes(x: Tensor) -> tuple[Tensor, Tensor]:
    """x as kernels walk it, and a tensor of its order, not filled yet."""
    x = dense(x)[0] if x.numel() else x
    return x, like(x)


def autocast_type(x: Tensor) -> torch.dtype:
    """The type that a convolution of x computes in."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class LIFSpikes(torch.autograd.Function):
    """LIF alone: what is kept is its current."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lif: LIF, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(x)
        ctx.made = lif, kernels
        return kernels.lif(x, lif)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        lif, kernels = ctx.made
        return kernels.lif_backward(x, lif, gradients[0])[0], None, None


class LIFConv(torch.autograd.Function):
    """LIF and convolution of a membrane current; and the current itself, for the shortcut, whose gradient is added on the way."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, lif: LIF, conv: nn.Conv2d, kernels: ModuleType
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight)
        ctx.made = lif, conv, kernels
        ctx.set_materialize_grads(False)
        return convolve(kernels.lif(x, lif).to(weight.dtype), weight, conv), x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        lif, conv, kernels = ctx.made
        g, more = gradients
        if g is None:
            return more, None, None, None, None
        x, spikes = room_for_spikes(x)
        of_spikes = of_input(g, spikes, weight, conv)
        of_x, _ = kernels.lif_backward(x, lif, of_spikes, more, own=True, spikes=spikes)
        return of_x, of_weight(g, spikes, weight, conv), None, None, None


class BNLIFConv(torch.autograd.Function):
    """Batch norm, LIF and convolution of a current."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _gamma: Tensor, _beta: Tensor, weight: Tensor, layers: Any, kernels: ModuleType
    ) -> Tensor:
        bn, lif, conv = layers
        norm, ctx.count = norm_of(x, bn, kernels)
        ctx.save_for_backward(x, weight, norm)
        ctx.made = layers, kernels
        return convolve(kernels.lif(x, lif, norm).to(weight.dtype), weight, conv)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, norm = ctx.saved_tensors
        (bn, lif, conv), kernels = ctx.made
        x, spikes = room_for_spikes(x)
        of_spikes = of_input(gradients[0], spikes, weight, conv)
        g, sums = kernels.lif_backward(x, lif, of_spikes, None, norm, own=True, spikes=spikes)
        for_weight = of_weight(gradients[0], spikes, weight, conv)
        del spikes
        made, for_gamma, for_beta = normalisation_gradients(sums, norm, ctx.count, bn, kernels)
        return gradient(x, norm, made, g, kernels, own=True), for_gamma, for_beta, for_weight, None, None


class BNAdd(torch.autograd.Function):
    """Batch norm, and the shortcut added, where there is one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        _gamma: Tensor,
        _beta: Tensor,
        shortcut: Tensor | None,
        bn: BatchNorm2d,
        kernels: ModuleType,
    ) -> Tensor:
        norm, ctx.count = norm_of(x, bn, kernels)
        ctx.save_for_backward(x, norm)
        ctx.made = bn, shortcut is not None, kernels
        return normalised(x, norm, shortcut, kernels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, norm = ctx.saved_tensors
        bn, shortcut, kernels = ctx.made
        g = gradients[0]
        made, for_gamma, for_beta = normalisation_gradients(kernels.sums(x, norm, g), norm, ctx.count, bn, kernels)
        return gradient(x, norm, made, g, kernels), for_gamma, for_beta, g if shortcut else None, None, None


class Gate(torch.autograd.Function):
    """The spikes of a current that is the same at each step, and the gate that they pass; all that is kept is of one step."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, spatial: Tensor, temporal: Tensor, lif: LIF, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(current, spatial, temporal)
        ctx.made = lif, kernels
        return kernels.gate(current, spatial, temporal, lif)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        current, spatial, temporal = ctx.saved_tensors
        lif, kernels = ctx.made
        of_current, of_spatial, of_temporal = kernels.gate_backward(current, spatial, temporal, lif, gradients[0])
        return of_current, of_spatial.to(spatial.dtype), of_temporal, None, None


class Fused:
    """The steps of a network by a backend's kernels; what `models.py` and `neuron.py` call where they have been given one.

    Layers are those of the network. Where somebody listens to a LIF or a convolution (a forward hook), it is called as a module,
    and more is kept; batch norms are not called.
    """

    def __init__(self, kernels: Any) -> None:
        self.kernels = kernels

    def __reduce__(self) -> tuple[Any, ...]:
        return of_backend, (self.kernels.__name__,)

    def __deepcopy__(self, _memo: dict[int, Any]) -> "Fused":
        return self

    def serves(self, x: Tensor) -> bool:
        """Whether there are kernels for such a tensor, and for what a convolution makes of it."""
        return x.device.type == self.kernels.DEVICE and {x.dtype, autocast_type(x)} <= self.kernels.TYPES.keys()

    def spikes(self, x: Tensor, lif: LIF, norm: Tensor | None = None) -> Tensor:
        """[T, B, ...] -> spikes; with a norm, which has no gradient here, of the normalised current."""
        return self.kernels.lif(x, lif, norm) if norm is not None else LIFSpikes.apply(x, lif, self.kernels)

    def lif_conv(self, x: Tensor, lif: LIF, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
        """What the convolution gives of the spikes, and x itself, for the shortcut."""
        if not torch.is_grad_enabled() or listened(lif, conv):
            return per_frame(lif(x), conv), x
        return LIFConv.apply(x, conv.weight.to(autocast_type(x)), lif, conv, self.kernels)

    def bn_lif_conv(self, x: Tensor, bn: BatchNorm2d, lif: LIF, conv: nn.Conv2d) -> Tensor:
        if not torch.is_grad_enabled():
            return per_frame(lif(x, norm_of(x, bn, self.kernels)[0]), conv)
        if listened(lif, conv):
            return per_frame(lif(self.bn_add(x, bn, None)), conv)
        return BNLIFConv.apply(x, bn.weight, bn.bias, conv.weight.to(autocast_type(x)), (bn, lif, conv), self.kernels)

    def bn_add(self, x: Tensor, bn: BatchNorm2d, shortcut: Tensor | None) -> Tensor:
        # Under autocast a shortcut may still be of the encoder's type.
        if shortcut is not None and shortcut.dtype != x.dtype:
            return self.bn_add(x, bn, None) + shortcut
        return BNAdd.apply(x, bn.weight, bn.bias, shortcut, bn, self.kernels)

    def gates(self, current: Tensor, lif: LIF, T: int) -> bool:
        """Whether there is a kernel for so many steps' gate."""
        return hasattr(self.kernels, "gate") and T <= self.kernels.KEPT and self.serves(current) and not listened(lif)

    def gate(self, current: Tensor, spatial: Tensor, temporal: Tensor, lif: LIF) -> Tensor:
        """sigmoid(temporal * spatial) * spikes, [T, B, C, H, W]; current and spatial [B, C, H, W], temporal [T, B]."""
        return Gate.apply(current, spatial, temporal, lif, self.kernels)


def of_backend(name: str) -> Fused:
    """Unpickles one."""
    return Fused(import_module(name))


def listened(*modules: nn.Module) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
