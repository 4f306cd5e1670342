"""The least that a run holds in memory, from its config alone: what a machine surely cannot hold is refused before any work.

It is a lower bound, never an estimate: of a training the current of every LIF in a block, which its
backward pass reads (of a batch in parts, the input of every block), the weights, their gradients and what the optimizer keeps of
them. So it refuses nothing that would run; what does run may take several times as much, and `plan=true` measures that.
"""

from dataclasses import dataclass

from gacsnn.config.schema import GAC, SGD, Benchmark, Config, Synthetic, Train
from gacsnn.errors import InputError
from gacsnn.networks import STEM_WIDTH, BlockShape, Stage, blocks_of, find_network, scaled
from gacsnn.runtime import host
from gacsnn.runtime.console import gib
from gacsnn.runtime.cores import may_have_gpu
from gacsnn.runtime.datasets import side_of, training_images
from gacsnn.runtime.ranks import this_rank

# Bytes of a value: of activations by precision, of weights where that is fp64, and a pixel while random images are drawn.
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "fp64": 8}
PIXEL = 8

# Bytes that any GPU has which a network is trained on.
SMALL_GPU = 2**31


@dataclass(frozen=True)
class Least:
    """Bytes that a step surely holds, and of how many images."""

    weights: int
    activations: int
    images: int


def check_host(config: Config) -> None:
    """Raises InputError where this machine has less memory than the least; what a GPU is to hold is not looked at."""
    there = host.in_all()
    if isinstance(config.dataset, Synthetic):
        drawn = 3 * config.dataset.size**2 * config.dataset.images * PIXEL
        if drawn > there:
            raise InputError(
                f"dataset.images={config.dataset.images} dataset.size={config.dataset.size}: to draw them takes at least "
                f"{gib(drawn)}, and this machine has {gib(there)}; take fewer or smaller ones"
            )
    if config.hardware.device == "cpu" or not may_have_gpu():
        rank = this_rank()
        check(config, there, "this machine", rank.local_size / rank.size)


def large_for_gpu(config: Config) -> bool:
    """Whether a GPU's memory, which only torch knows, has to be looked at: it is to hold as much as a small one has."""
    if config.hardware.device == "cpu" or not may_have_gpu():
        return False
    least = least_of(config)
    return least.weights + least.activations > SMALL_GPU


def check(config: Config, there: int, whose: str, part: float = 1.0) -> None:
    """Refuse what needs more than the bytes that are `there`.

    Args:
        part: of each batch, what is held there.

    Raises:
        InputError: with both figures, and what to lower.
    """
    least = least_of(config, part)
    needed = least.weights + least.activations
    if needed <= there:
        return
    if least.weights > least.activations:
        what = f"model={config.model.name} model.width={config.model.width:g}: the weights alone take"
        lower = "model.width, model.stages or encoder.kernel"
    else:
        images = f", {least.images:,} images a step" if least.images < config.batch_size else ""
        what, lower = (
            f"T={config.T} batch_size={config.batch_size}{images}: a step takes",
            "T, batch_size or model.width",
        )
    raise InputError(f"{what} at least {gib(needed)}, and {whose} has {gib(there)}; take a smaller {lower}")


def least_of(config: Config, part: float = 1.0) -> Least:
    network = find_network(config.model.name, config.model.layout)
    rows = network.stages if config.model.stages is None else [Stage(*row) for row in config.model.stages]
    blocks = list(blocks_of(network, rows, config.model.width, side_of(config.dataset)))
    trains = isinstance(config.task, Train | Benchmark)
    images = (
        training_images(config.dataset, min(config.batch_size, config.limit_train or config.batch_size))
        if trains
        else 1
    )
    here = max(1, int(images * part))
    held = kept_of(blocks, whole=config.hardware.accumulate == 1) if trains else max(map(largest, blocks))
    return Least(weights_of(config, blocks), config.T * here * held * BYTES[config.hardware.precision], images)


def kept_of(blocks: list[BlockShape], whole: bool) -> int:
    """Values of an image and time step that a training keeps of all blocks: one of each neuron, or, in parts, their inputs."""
    inputs = [block.inputs * block.side**2 for block in blocks]
    return sum(map(neurons, blocks)) if whole else sum(inputs)


def neurons(block: BlockShape) -> int:
    return block.inputs * block.side**2 + block.width * block.side_after**2


def largest(block: BlockShape) -> int:
    return max(block.inputs * block.side**2, block.width * block.side_after**2)


def weights_of(config: Config, blocks: list[BlockShape]) -> int:
    """Bytes of the 3x3 convolutions and the gate, with their gradients and the optimizer's moments where they are trained."""
    count = sum(9 * block.width * (block.inputs + block.width) for block in blocks)
    if isinstance(config.encoder, GAC):
        count += (config.encoder.kernel * scaled(STEM_WIDTH, config.model.width)) ** 2
    copies = 1
    if isinstance(config.task, Train):
        moments = int(config.optimizer.momentum > 0) if isinstance(config.optimizer, SGD) else 2
        copies = 2 + moments
    return count * copies * (BYTES["fp64"] if config.hardware.precision == "fp64" else BYTES["fp32"])
