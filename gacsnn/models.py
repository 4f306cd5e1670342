"""MS-ResNets (membrane-shortcut residual spiking networks): `create_model` builds what a table of stages (`networks.py`) says.

Inside, activations are [T, B, C, H, W]: T first, so that T*B is one batch of a convolution.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gacsnn import draws
from gacsnn.batchnorm import BatchNorm2d, again
from gacsnn.encoders import ENCODERS, Encoder, LayerInput, convolutions, per_frame, within
from gacsnn.errors import InputError
from gacsnn.kernels.fused import Fused
from gacsnn.networks import LAYOUTS, STEM_WIDTH, Layout, Stage, choice, find_network, scaled
from gacsnn.neuron import LIF, NEURONS


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


def conv3(width: int) -> list[nn.Module]:
    return [conv(3, width, 3)]


def conv7(width: int) -> list[nn.Module]:
    return [conv(3, width, 7, stride=2)]


def conv3x3(width: int) -> list[nn.Module]:
    """Three 3x3 convolutions with biases and nothing between them, the first of stride 2 (MS-ResNet-104)."""
    return [conv(3, width, 3, 2, bias=True), conv(width, width, 3, bias=True), conv(width, width, 3, bias=True)]


STEMS: dict[str, Callable[[int], list[nn.Module]]] = {"conv3": conv3, "conv7": conv7, "conv3x3": conv3x3}


class Block(nn.Module):
    """LIF, conv, BN, LIF, conv, BN, plus the shortcut of the membrane potential; no activation after the sum.

    Where the resolution changes, the first convolution has the stride; or, with `max_pool`, stride 1 and a 3x3
    max-pool of that stride behind its BN (Max-ResNet).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        neuron: Callable[[], LIF],
        pooled_shortcut: bool = False,
        max_pool: bool = False,
    ) -> None:
        super().__init__()
        pooled = max_pool and stride != 1
        self.parts = 1
        self.kernels: Fused | None = None
        self.lif1 = neuron()
        self.conv1 = conv(inputs, width, 3, 1 if pooled else stride)
        self.bn1 = BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride, padding=1) if pooled else nn.Identity()
        self.lif2 = neuron()
        self.conv2 = conv(width, width, 3)
        self.bn2 = BatchNorm2d(width)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or inputs != width:
            pool = pooled_shortcut and stride != 1
            layers: list[nn.Module] = [nn.AvgPool2d(stride, ceil_mode=True)] if pool else []
            layers += [conv(inputs, width, 1, 1 if pool else stride), BatchNorm2d(width)]
            self.shortcut = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, C, H, W] -> [T, B, width, H / stride, W / stride]."""
        if self.parts == 1 or not torch.is_grad_enabled():
            return self.whole(x)
        return checkpoint(self.whole, x, use_reentrant=False, context_fn=lambda: (nullcontext(), again()))

    def whole(self, x: Tensor) -> Tensor:
        if self.kernels is not None and self.kernels.serves(x):
            return self.fused(x, self.kernels)
        shortcut = x if self.shortcut is None else per_frame(x, self.shortcut)
        x = per_frame(self.in_parts(self.first, x), self.bn1, self.pool)
        x = per_frame(self.in_parts(self.second, x), self.bn2)
        return x + shortcut

    def fused(self, x: Tensor, kernels: Fused) -> Tensor:
        """The same by fewer passes over memory. It keeps so little within a block that to cut that into parts saves no more."""
        y, x = kernels.lif_conv(x, self.lif1, self.conv1)
        if self.shortcut is None:
            shortcut = x
        else:
            *layers, bn = self.shortcut
            assert isinstance(bn, BatchNorm2d)
            shortcut = kernels.bn_add(per_frame(x, *layers), bn, None)
        if isinstance(self.pool, nn.Identity):
            y = kernels.bn_lif_conv(y, self.bn1, self.lif2, self.conv2)
        else:
            pooled = per_frame(kernels.bn_add(y, self.bn1, None), self.pool)
            y, _ = kernels.lif_conv(pooled, self.lif2, self.conv2)
        return kernels.bn_add(y, self.bn2, shortcut)

    def first(self, x: Tensor) -> Tensor:
        return per_frame(self.lif1(x), self.conv1)

    def second(self, x: Tensor) -> Tensor:
        return per_frame(self.lif2(x), self.conv2)

    def in_parts(self, half: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Half a block, on `parts` parts of the batch in turn, of which only the output is kept."""
        if self.parts == 1 or not torch.is_grad_enabled():
            return half(x)
        return torch.cat([checkpoint(half, part, use_reentrant=False) for part in x.chunk(self.parts, dim=1)], dim=1)

    def layer_inputs(self, stage: str) -> dict[str, LayerInput]:
        """What each layer reads, by its name in the block; `stage` is the part of the network that the block is of."""
        membrane = LayerInput("shortcuts", "membrane potential", "lif1")
        shortcut = [] if self.shortcut is None else convolutions(self.shortcut)
        return {
            "conv1": LayerInput(stage, "spikes", "lif1"),
            "conv2": LayerInput(stage, "spikes", "lif2"),
            **{f"shortcut.{layer}": membrane for layer in shortcut},
        }


class ImageDropout(nn.Module):
    """Dropout of [B, T, C] with one mask for all T steps; drawn by the images' keys where they have such."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return features
        if not draws.by_key():
            return F.dropout1d(features.transpose(1, 2), self.p).transpose(1, 2)
        kept = draws.uniform(features.shape[2:], draws.DROPOUT) >= self.p
        return features * (kept.to(features.dtype) / (1 - self.p))[:, None]


class Head(nn.Module):
    """LIF, global average pool, linear, at every step.

    Dropout (MS-ResNet-104) draws one mask for all T steps, so that the mean of the logits over T is what that paper
    computes: the linear layer of the features' mean over T.
    """

    def __init__(self, width: int, num_classes: int, neuron: Callable[[], nn.Module], dropout: float) -> None:
        super().__init__()
        self.lif = neuron()
        self.dropout = ImageDropout(dropout)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, C, H, W] -> logits [B, T, classes]."""
        features = self.lif(x).mean(dim=(3, 4)).transpose(0, 1)
        return self.linear(self.dropout(features))

    def layer_inputs(self) -> dict[str, LayerInput]:
        return {"linear": LayerInput("head", "mean of spikes", "lif")}


class SpikingResNet(nn.Module):
    """Encoder (with the stem inside), stages of blocks, head. Made by `create_model`."""

    def __init__(self, encoder: Encoder, stages: nn.Sequential, head: Head, T: int, layout: str, name: str) -> None:
        super().__init__()
        self.name = name
        self.layout = layout
        self.encoder = encoder
        self.stages = stages
        self.head = head
        self.T = T
        self.kernels: Fused | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> logits [B, T, classes]. A prediction is the mean over T."""
        return self.head(self.stages(self.encoder(images)))

    def accumulate(self, parts: int) -> None:
        """Compute each block on so many parts of the batch in turn, and again for its gradients: less memory, the same step.

        Gradients of parts that are batches of their own would be of other batch statistics. Here those are of the whole
        batch: what is kept of a block is its input, and within the block at work what its batch norms read.
        """
        for module in self.stages.modules():
            if isinstance(module, Block):
                module.parts = parts

    def use(self, kernels: Fused | None) -> None:
        """Compute what stands between convolutions with these kernels, where they serve; None: by the plain path."""
        self.kernels = kernels
        for module in self.modules():
            if isinstance(module, Block | LIF):
                module.kernels = kernels

    def layer_inputs(self) -> dict[str, LayerInput]:
        """What each layer reads, by its full name."""
        inputs = within("encoder", self.encoder.layer_inputs())
        for name, module in self.named_modules():
            if isinstance(module, Block):
                stage = int(name.split(".")[1]) + 1
                inputs |= within(name, module.layer_inputs(f"stage {stage}"))
        return inputs | within("head", self.head.layer_inputs())


def create_model(
    name: str,
    *,
    T: int,
    num_classes: int,
    encoder: str = "gac",
    layout: str = "cifar",
    width: float = 1.0,
    stages: Sequence[Sequence[int]] | None = None,
    neuron: Mapping[str, Any] | None = None,
    encoder_options: Mapping[str, Any] | None = None,
) -> SpikingResNet:
    """Build a spiking residual network by name.

    Args:
        name: a network of the layout, such as `resnet18`; `LAYOUTS` has them all.
        T: number of time steps, at least 1.
        num_classes: number of classes, at least 1.
        encoder: `gac` or `direct`, for normalised images; `poisson`, `latency` or `phase`, for pixels in [0, 1].
        layout: `cifar` (small stem, three stages) or `imagenet` (large stem, four stages).
        width: multiplier of all channel counts.
        stages: rows (width, blocks, first stride) in place of the table's.
        neuron: keyword arguments of `LIF` in place of the network's own.
        encoder_options: keyword arguments of the encoder: `kernel` and `gate` of `gac`, `curve` of `latency`.

    Raises:
        ValueError: for an unknown name or a number out of range.
    """
    kind = LAYOUTS[choice("layout", layout, LAYOUTS)]
    network = find_network(name, layout)
    if T < 1 or num_classes < 1 or width <= 0:
        raise InputError(f"need T >= 1, num_classes >= 1, width > 0, not T={T}, {num_classes=}, {width=}")
    rows = network.stages if stages is None else tuple(Stage(*row) for row in stages)
    lif = partial(LIF, **(NEURONS[network.neuron or kind.neuron] if neuron is None else neuron))

    channels = scaled(STEM_WIDTH, width)
    make_encoder = ENCODERS[choice("encoder", encoder, ENCODERS)]
    stem = nn.Sequential(*STEMS[network.stem](channels), BatchNorm2d(channels, T if make_encoder.static else 1))
    code = make_encoder(stem, channels, T, lif, **(encoder_options or {}))
    blocks = []
    for row in rows:
        stage = []
        for index in range(row.blocks):
            stride = row.stride if index == 0 else 1
            stage.append(
                Block(channels, scaled(row.width, width), stride, lif, network.pooled_shortcut, network.max_pool)
            )
            channels = scaled(row.width, width)
        blocks.append(nn.Sequential(*stage))
    head = Head(channels, num_classes, lif, network.dropout)
    model = SpikingResNet(code, nn.Sequential(*blocks), head, T, layout, name)
    initialise(model, kind)
    return model


def initialise(model: nn.Module, layout: Layout) -> None:
    """The starting weights that the layout asks for, where they are not PyTorch's own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, layout.bn_weight)
        elif isinstance(module, nn.Conv2d) and layout.kaiming:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in model.modules():
        if isinstance(module, Block):
            nn.init.constant_(module.bn2.weight, layout.last_bn_weight)
