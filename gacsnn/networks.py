"""The networks as tables of stages. No torch here: how large a network is can be told before it is imported.

Sources: Qiu et al., "Gated Attention Coding", AAAI 2024 (arXiv 2308.06582), for CIFAR-18 and ImageNet-18/34; Hu et al.,
"Advancing Spiking Neural Networks toward Deep Residual Learning" (MS-ResNet), for ImageNet-104; the Max-Former paper
(arXiv 2505.18608) for `max_resnet18`. `models.py` builds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gacsnn.errors import InputError, no_such


class Stage(NamedTuple):
    width: int
    blocks: int
    stride: int


@dataclass(frozen=True)
class Network:
    """What a name means in one layout. Widths are those of width multiplier 1."""

    stages: tuple[Stage, ...]
    stem: str
    pooled_shortcut: bool = False
    max_pool: bool = False
    dropout: float = 0.0
    neuron: str | None = None  # where it is not the layout's


@dataclass(frozen=True)
class Layout:
    """What all networks for one kind of input share."""

    neuron: str
    bn_weight: float
    last_bn_weight: float
    kaiming: bool
    networks: Mapping[str, Network]


def stages(*rows: tuple[int, int, int]) -> tuple[Stage, ...]:
    return tuple(Stage(*row) for row in rows)


def halving(*blocks: int) -> tuple[Stage, ...]:
    """The ImageNet stages: widths 64, 128, 256, 512, each halving the resolution."""
    return tuple(Stage(64 * 2**i, count, 2) for i, count in enumerate(blocks))


STEM_WIDTH = 64

LAYOUTS = {
    # Small images, from 8x8 on. resnet18 and max_resnet18 are the papers'; the other rows are ours in their manner.
    "cifar": Layout(
        neuron="cifar",
        bn_weight=1.0,
        last_bn_weight=1.0,
        kaiming=False,
        networks={
            "resnet8": Network(stages((128, 1, 1), (256, 1, 2), (512, 1, 2)), stem="conv3"),
            "resnet18": Network(stages((128, 3, 1), (256, 3, 2), (512, 2, 2)), stem="conv3"),
            "resnet34": Network(stages((128, 5, 1), (256, 6, 2), (512, 5, 2)), stem="conv3"),
            "resnet104": Network(
                stages((128, 11, 1), (256, 32, 2), (512, 8, 2)), stem="conv3", pooled_shortcut=True, dropout=0.2
            ),
            "max_resnet18": Network(
                stages((128, 3, 1), (256, 3, 2), (512, 2, 2)), stem="conv3", max_pool=True, neuron="cifar_detached"
            ),
        },
    ),
    # Images of 224x224 or so. resnet8 is ours, the others the papers'.
    "imagenet": Layout(
        neuron="imagenet",
        bn_weight=0.5,
        last_bn_weight=0.0,
        kaiming=True,
        networks={
            "resnet8": Network(halving(1, 1, 1), stem="conv7"),
            "resnet18": Network(halving(2, 2, 2, 2), stem="conv7"),
            "resnet34": Network(halving(3, 4, 6, 3), stem="conv7"),
            "resnet104": Network(halving(3, 8, 32, 8), stem="conv3x3", pooled_shortcut=True, dropout=0.2),
        },
    ),
}


# What the convolutions of a stem divide height and width by.
STEM_STRIDES = {"conv3": 1, "conv7": 2, "conv3x3": 2}


class BlockShape(NamedTuple):
    """A block's channels, and the side of its square input and output, pixels."""

    inputs: int
    width: int
    side: int
    side_after: int


def blocks_of(network: Network, stages: Sequence[Stage], width: float, side: int) -> Iterator[BlockShape]:
    """The blocks of a network with these stages and width multiplier, for square images of that side."""
    channels, side = scaled(STEM_WIDTH, width), -(-side // STEM_STRIDES[network.stem])
    for stage in stages:
        for index in range(stage.blocks):
            after = -(-side // (stage.stride if index == 0 else 1))
            yield BlockShape(channels, scaled(stage.width, width), side, after)
            channels, side = scaled(stage.width, width), after


def scaled(channels: int, width: float) -> int:
    """Channels under a width multiplier."""
    return max(1, round(channels * width))


def find_network(name: str, layout: str) -> Network:
    """What a name means in a layout.

    Raises:
        ValueError: when there is no such network.
    """
    networks = LAYOUTS[layout].networks
    if name not in networks and any(name in other.networks for other in LAYOUTS.values()):
        raise InputError(f"model={name}: there is none in the layout {layout}; choose one of {', '.join(networks)}")
    return networks[choice("model", name, networks)]


def choice(option: str, name: str, table: Mapping[str, object]) -> str:
    if name not in table:
        raise InputError(no_such(option, name, table))
    return name
