"""A network's training step and its evaluation on one path: the form of the network, the precision, the order of memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gacsnn.benchmark.counted import Moved, saved_bytes
from gacsnn.config.schema import Config, Hardware
from gacsnn.kernels.fused import Fused
from gacsnn.models import SpikingResNet
from gacsnn.runtime.device import Machine
from gacsnn.training.graphs import Graphs, captured
from gacsnn.training.memory import Peak
from gacsnn.training.optim import make_optimizer


@dataclass(frozen=True)
class Counted:
    """Of a training step: bytes kept for the backward pass, moved outside convolutions, and the most at once; and operations,
    those of the optimizer aside."""

    saved: int
    moved: int
    peak: int
    operations: int


class Path:
    """A form of the network in training and in evaluation."""

    def __init__(self, network: nn.Module, config: Config, machine: Machine, images: Tensor, labels: Tensor) -> None:
        self.network = network.to(memory_format=machine.memory_format).train()
        self.machine = machine
        self.images = images.contiguous(memory_format=machine.memory_format)
        self.labels = labels
        fused = isinstance(network, SpikingResNet) and network.kernels is not None
        self.optimizer = make_optimizer(self.network, config.optimizer, fused)
        self.scaler = machine.scaler()
        self.graphs: Graphs | None = None

    def capture(self, options: Hardware, beside: float) -> None:
        """Take CUDA graphs in training, where a run would; `beside`: the memory of the other paths, as a part of this one's."""
        count, _, *size = self.images.shape
        self.graphs = captured(self.network, self.machine, options, (count, *size), beside)

    def logits(self, images: Tensor) -> Tensor:
        with self.machine.autocast():
            return self.network(images)

    def gradients(self) -> None:
        """Forward and backward."""
        graphs = self.graphs
        logits = self.logits(self.images) if graphs is None else graphs.run(self.images, torch.zeros_like(self.labels))
        self.scaler.scale(F.cross_entropy(self.machine.exact(logits).mean(dim=1), self.labels)).backward()

    def step(self) -> None:
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        self.gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        self.network.eval()
        return self.logits(self.images)

    def counted(self) -> Counted:
        """What the step takes, beside the weights and the optimizer."""
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        saved = saved_bytes(self.network, self.images, self.logits)
        with Moved() as moved, watched(self.network, moved):
            self.gradients()
        self.optimizer.zero_grad(set_to_none=True)
        with Peak() as peak:
            self.gradients()
        self.optimizer.zero_grad(set_to_none=True)
        return Counted(saved, moved.bytes, peak.peak, moved.operations)


@contextmanager
def watched(network: nn.Module, moved: Moved) -> Iterator[None]:
    """While the context lasts, calls of the network's kernels are counted."""
    kernels = network.kernels if isinstance(network, SpikingResNet) else None
    if not isinstance(network, SpikingResNet) or kernels is None:
        yield
        return
    network.use(Fused(moved.watched(kernels.kernels)))
    try:
        yield
    finally:
        network.use(kernels)
