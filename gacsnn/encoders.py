"""Encoders: from a batch of static pictures to currents or spikes for T time steps, through the network's stem.

`gac` is Gated Attention Coding (Qiu et al., AAAI 2024, arXiv 2308.06582); `direct` is plain direct coding.
Each is an `nn.Module` made as `Encoder(stem, channels, T, neuron, **options)` that maps pictures [B, 3, H, W] to
[T, B, channels, H', W']. A static picture gives the same stem current c at every step, so stem and gate
are computed once and not T times; the results are the same (see `RepeatedBatchNorm2d` for the one correction).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RepeatedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over [B, C, H, W] that stands for a batch in which each picture is repeated T times.

    Mean and biased variance of a repeated batch are those of the batch. Only the running variance differs: PyTorch
    multiplies the biased variance by n / (n - 1), and n is T*B*H*W there and B*H*W here.
    """

    def __init__(self, channels: int, repeats: int) -> None:
        super().__init__(channels)
        self.repeats = repeats

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.repeats == 1:
            return super().forward(input)
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        # A copy, because autograd keeps what batch_norm updates and must find it unchanged.
        updated = self.running_var.clone()
        output = F.batch_norm(input, self.running_mean, updated, self.weight, self.bias, True, self.momentum, self.eps)
        once = input.numel() // input.shape[1]
        repeated = once * self.repeats
        correction = (repeated / (repeated - 1)) / (once / (once - 1))
        with torch.no_grad():
            kept = self.running_var * (1 - self.momentum)
            self.running_var.copy_(kept + correction * (updated - kept))
            self.num_batches_tracked.add_(1)
        return output


class Direct(nn.Module):
    """Direct coding: the stem's current at every step. There is no LIF here: the first block begins with one."""

    def __init__(self, stem: nn.Module, channels: int, T: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.T = T

    def forward(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] -> currents [T, B, C, H', W']."""
        current = self.stem(images)
        return current.expand(self.T, *current.shape)


class TemporalAttention(nn.Module):
    """TA: a weight for each picture and time step, before the sigmoid.

    The current is pooled over (C, H, W) by mean and by maximum; both go through one perceptron over the T axis
    (T -> T // 2 -> T, no biases) and are added. The current is the same at every step, hence so are the pools.
    The reference fails at T = 1, where T // 2 = 0; here the hidden layer has at least one unit.
    """

    def __init__(self, T: int) -> None:
        super().__init__()
        self.T = T
        hidden = max(1, T // 2)
        self.perceptron = nn.Sequential(nn.Linear(T, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, T, bias=False))

    def forward(self, current: Tensor) -> Tensor:
        """Current [B, C, H, W], the same at every step -> [B, T]."""
        mean = current.mean(dim=(1, 2, 3))
        maximum = current.amax(dim=(1, 2, 3))
        steps = torch.stack([mean, maximum]).unsqueeze(-1).expand(2, -1, self.T)
        return self.perceptron(steps).sum(dim=0)


class SpatialChannelAttention(nn.Module):
    """SCA: a weight for each channel and place, before the sigmoid: conv, ReLU, conv, no biases, size kept.

    For an even kernel PyTorch's `padding="same"` puts the extra row and column at the bottom and right. It
    is written out here because PyTorch warns of its own.
    """

    def __init__(self, channels: int, kernel: int = 4) -> None:
        super().__init__()
        before, after = (kernel - 1) // 2, kernel // 2
        self.padding = (before, after, before, after)
        self.conv1 = nn.Conv2d(channels, channels, kernel, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, kernel, bias=False)

    def forward(self, current: Tensor) -> Tensor:
        """Current [B, C, H, W] -> [B, C, H, W]."""
        hidden = F.relu(self.conv1(F.pad(current, self.padding)))
        return self.conv2(F.pad(hidden, self.padding))


class GAC(nn.Module):
    """Gated Attention Coding: sigmoid(TA(c) * SCA(c)) * LIF(c), with c the stem's current.

    The gate reads the real-valued current, not the spikes, and the product is taken before the sigmoid. The output is
    real-valued. The perceptron of TA ties the weights to T.
    """

    def __init__(self, stem: nn.Module, channels: int, T: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.T = T
        self.lif = neuron()
        self.temporal = TemporalAttention(T)
        self.spatial_channel = SpatialChannelAttention(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] -> gated spikes [T, B, C, H', W']."""
        current = self.stem(images)
        spikes = self.lif(current.expand(self.T, *current.shape))
        temporal = self.temporal(current).t()[:, :, None, None, None]
        return torch.sigmoid(temporal * self.spatial_channel(current)) * spikes


ENCODERS: dict[str, Callable[..., nn.Module]] = {"gac": GAC, "direct": Direct}
