"""Encoders: from a batch of static images to currents or spikes for T time steps, through the network's stem.

`gac` is Gated Attention Coding (Qiu et al., AAAI 2024, arXiv 2308.06582); `direct` is plain direct coding; `poisson`,
`latency` and `phase` turn each pixel into spikes first. Each is an `nn.Module` made as
`Encoder(stem, channels, T, neuron, **options)` that maps images [B, 3, H, W] to [T, B, channels, H', W'], and says of
each of its layers what it reads (`layer_inputs`).

`static` ones take normalised images. Their stem current c is the same at every step, so stem and gate are
computed once and not T times; the results are the same (see `BatchNorm2d` for the one correction). The others
take pixels in [0, 1], not normalised before or after: the batch norm behind the stem's convolution scales their spikes.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gacsnn import draws


class LayerInput(NamedTuple):
    """What a layer reads; for the energy account.

    part: where the layer stands in the network: stem, gate, stage N, shortcuts or head.
    kind: "spikes", "real values", "membrane potential" or "mean of spikes".
    spiking_layer: the LIF or spike code whose firing rate stands for the input; "" where there is none.
    repeated: the released programs compute the layer T times, where once is exact.
    """

    part: str
    kind: str
    spiking_layer: str = ""
    repeated: bool = False


def within(name: str, inputs: dict[str, LayerInput]) -> dict[str, LayerInput]:
    """The same layers, named as seen from outside the module `name`."""
    return {
        f"{name}.{layer}": reads._replace(spiking_layer=reads.spiking_layer and f"{name}.{reads.spiking_layer}")
        for layer, reads in inputs.items()
    }


def convolutions(module: nn.Module) -> list[str]:
    return [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]


class Encoder(nn.Module):
    """What all encoders have: the stem, and what is known of their layers."""

    static: ClassVar[bool]
    products: ClassVar[int] = 0  # multiplications an element of the output, beside those of layers
    bound: ClassVar[float] = math.inf  # no element of the output is greater, whatever the weights

    def __init__(self, stem: nn.Module, channels: int, T: int, neuron: Callable[[], nn.Module], **options: Any) -> None:
        """A subclass has options of its own; `stem` gives [B, channels, H', W'], `neuron` makes a layer of neurons."""
        super().__init__()
        self.stem = stem
        self.T = T

    def layer_inputs(self) -> dict[str, LayerInput]:
        """What each layer with weights reads, by its name in the encoder; the static stem reads the image."""
        stem = LayerInput("stem", "real values", repeated=True)
        return within("stem", dict.fromkeys(convolutions(self.stem), stem))


def per_frame(x: Tensor, *modules: nn.Module) -> Tensor:
    """Put [T, B, C, H, W] through modules that take [N, C, H, W]."""
    steps, batch = x.shape[:2]
    x = x.flatten(0, 1)
    for module in modules:
        x = module(x)
    return x.unflatten(0, (steps, batch))


class Direct(Encoder):
    """Direct coding: the stem's current at every step. There is no LIF here: the first block begins with one."""

    static = True

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> currents [T, B, C, H', W']."""
        current = self.stem(images)
        return current.expand(self.T, *current.shape)


class TemporalAttention(nn.Module):
    """TA: a weight for each image and time step, before the sigmoid.

    The gate's input is pooled over (C, H, W) by mean and by maximum; both go through one two-layer perceptron over the T
    axis (T -> T // 2 -> T, no biases) and are added. That input is the same at every step, hence so are the pools.
    The reference fails at T = 1, where T // 2 = 0; here the hidden layer has at least one unit.
    """

    def __init__(self, T: int) -> None:
        super().__init__()
        self.T = T
        hidden = max(1, T // 2)
        self.mlp = nn.Sequential(nn.Linear(T, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, T, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W], the same at every step -> [B, T]."""
        mean = x.mean(dim=(1, 2, 3))
        maximum = x.amax(dim=(1, 2, 3))
        steps = torch.stack([mean, maximum]).unsqueeze(-1).expand(2, -1, self.T)
        return self.mlp(steps).sum(dim=0)


class SpatialChannelAttention(nn.Module):
    """SCA: a weight for each channel and place, before the sigmoid: conv, ReLU, conv, no biases, size kept.

    For an even kernel PyTorch's `padding="same"` puts the extra row and column at the bottom and right. It
    is written out here because PyTorch warns of its own, and has none for a stride.
    """

    def __init__(self, inputs: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        before, after = (kernel - 1) // 2, kernel // 2
        self.padding = (before, after, before, after)
        self.conv1 = nn.Conv2d(inputs, channels, kernel, stride, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, kernel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, channels, H / stride, W / stride], rounded up."""
        hidden = F.relu(self.conv1(F.pad(x, self.padding)))
        return self.conv2(F.pad(hidden, self.padding))


class GAC(Encoder):
    """Gated Attention Coding: sigmoid(TA(x) * SCA(x)) * LIF(c), with c the stem's current.

    The gate reads real values, not the spikes, and the product is taken before the sigmoid. The output is
    real-valued. TA's perceptron ties the weights to T.

    Args:
        kernel: side of SCA's two convolutions; 4 in the released programs.
        gate: what the gate reads: "stem", x = c, as the released programs do; or "image", x = the image, with the
            gate beside the stem as the paper's figure draws it (SCA's first convolution then has the stem's stride).
    """

    static = True
    products = 2  # TA * SCA, and gate * spike
    bound = 1.0  # a sigmoid times a spike

    def __init__(
        self,
        stem: nn.Module,
        channels: int,
        T: int,
        neuron: Callable[[], nn.Module],
        kernel: int = 4,
        gate: str = "stem",
    ) -> None:
        super().__init__(stem, channels, T, neuron)
        if gate not in ("stem", "image"):
            raise ValueError(f"gate={gate!r}: choose one of stem, image")
        if kernel < 1:
            raise ValueError(f"kernel={kernel}: should be at least 1")
        self.lif = neuron()
        self.gate = gate
        self.temporal = TemporalAttention(T)
        if gate == "stem":
            self.spatial_channel = SpatialChannelAttention(channels, channels, kernel, 1)
        else:
            stride = math.prod(layer.stride[0] for layer in stem.modules() if isinstance(layer, nn.Conv2d))
            self.spatial_channel = SpatialChannelAttention(3, channels, kernel, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> gated spikes [T, B, C, H', W']."""
        current = self.stem(images)
        x = current if self.gate == "stem" else images
        # T first in memory, too: what an elementwise operation makes has the order of what it reads.
        temporal, spatial = self.temporal(x).t().contiguous(), self.spatial_channel(x)
        kernels: Any = getattr(self.lif, "kernels", None)  # other neurons than ours have none
        if kernels is not None and kernels.gates(current, self.lif, self.T):
            return kernels.gate(current, spatial, temporal, self.lif)
        spikes = self.lif(current.expand(self.T, *current.shape))
        # Of the current's type: under autocast the weights of the steps are float32.
        return (torch.sigmoid(temporal[:, :, None, None, None] * spatial) * spikes).to(current.dtype)

    def layer_inputs(self) -> dict[str, LayerInput]:
        """The gate reads real values; `products` are its two multiplications."""
        gate = LayerInput("gate", "real values")
        return {
            **super().layer_inputs(),
            **within("temporal", {"mlp.0": gate, "mlp.2": gate}),
            **within("spatial_channel", dict.fromkeys(("conv1", "conv2"), gate._replace(repeated=True))),
            "products": gate._replace(spiking_layer="lif"),
        }


def poisson_code(pixels: Tensor, T: int) -> Tensor:
    """At each step a spike with the pixel's value as its probability: [B, ...] in [0, 1] -> spikes [T, B, ...].

    Drawn by the keys of the images where there are such (`draws.keyed`), else by PyTorch's global generator.
    """
    if not draws.by_key():
        return (torch.rand(T, *pixels.shape, dtype=pixels.dtype, device=pixels.device) < pixels).to(pixels.dtype)
    drawn = draws.uniform((T, *pixels.shape[1:]), draws.POISSON).transpose(0, 1)
    return (drawn < pixels).to(pixels.dtype)


def latency_code(pixels: Tensor, T: int, curve: str = "linear") -> Tensor:
    """One spike a pixel, the earlier the brighter: [...] in [0, 1] -> spikes [T, ...].

    With steps counted from 0, the spike comes at round((T - 1) * (1 - x)) for the curve "linear", and for "log" at
    round((T - 1) - ln(a * x + 1)), a = exp(T - 1) - 1.
    """
    x = pixels.double()
    if curve == "linear":
        step = (T - 1) * (1 - x)
    elif curve == "log":
        log_a = torch.tensor(-math.expm1(1 - T), dtype=x.dtype).log() + (T - 1)  # a itself overflows for large T
        step = (T - 1) - torch.logaddexp(x.log() + log_a.to(x.device), torch.zeros_like(x))
    else:
        raise ValueError(f"curve={curve!r}: choose one of linear, log")
    steps = torch.arange(T, device=x.device).view(-1, *[1] * x.dim())
    return (steps == step.round()).to(pixels.dtype)


def phase_code(pixels: Tensor, T: int) -> Tensor:
    """The first T binary digits of each pixel, the half first: [...] in [0, 1] -> spikes [T, ...]. 1 is all ones."""
    spikes = []
    rest = pixels
    for _ in range(T):
        rest = 2 * rest
        fired = rest >= 1
        rest = rest - fired.to(rest.dtype)
        spikes.append(fired)
    return torch.stack(spikes).to(pixels.dtype)


CODES: dict[str, Callable[..., Tensor]] = {"poisson": poisson_code, "latency": latency_code, "phase": phase_code}


class SpikeCode(nn.Module):
    """A code as a module, so that its spikes can be counted like a layer's."""

    def __init__(self, code: Callable[..., Tensor], T: int, **options: str) -> None:
        super().__init__()
        self.code = code
        self.T = T
        self.options = options

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1] -> spikes [T, B, 3, H, W]."""
        return self.code(pixels, self.T, **self.options)


class PixelEncoder(Encoder):
    """A code of the pixels, and the stem on its spikes at every step. It keeps nothing from one batch to the next."""

    static = False
    code: Callable[..., Tensor]

    def __init__(self, stem: nn.Module, channels: int, T: int, neuron: Callable[[], nn.Module], **options: str) -> None:
        super().__init__(stem, channels, T, neuron)
        self.coding = SpikeCode(type(self).code, T, **options)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1] -> currents [T, B, C, H', W']."""
        return per_frame(self.coding(images), self.stem)

    def layer_inputs(self) -> dict[str, LayerInput]:
        """The stem's first convolution reads the code's spikes, at every step; further ones what that gives."""
        first, *others = convolutions(self.stem)
        spikes, current = LayerInput("stem", "spikes", "coding"), LayerInput("stem", "real values")
        return {f"stem.{first}": spikes, **within("stem", dict.fromkeys(others, current))}


class Poisson(PixelEncoder):
    code = staticmethod(CODES["poisson"])


class Latency(PixelEncoder):
    code = staticmethod(CODES["latency"])


class Phase(PixelEncoder):
    code = staticmethod(CODES["phase"])


ENCODERS: dict[str, type[Encoder]] = {
    "gac": GAC,
    "direct": Direct,
    "poisson": Poisson,
    "latency": Latency,
    "phase": Phase,
}
