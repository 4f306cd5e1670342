"""The convolutions and the linear head of a network alone: no training step of it is faster on this machine and precision.

Each layer reads zeros and ones of its own input's shape, and gets a gradient of its output; a static encoder's are computed once.
Neither what lies between them nor the optimizer is counted.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gacsnn.models import SpikingResNet


class Floor:
    """Those layers with their inputs.

    Args:
        images: a batch as the network takes it.
        dtype: what convolutions compute in.
        memory_format: of activations and weights.
    """

    def __init__(
        self, model: SpikingResNet, images: Tensor, dtype: torch.dtype, memory_format: torch.memory_format
    ) -> None:
        self.layers: list[nn.Module] = []
        self.inputs: list[Tensor] = []
        for layer, shape, first in calls(model, images):
            made = copy.deepcopy(layer).to(dtype)
            x = (torch.rand(shape, device=images.device) < 0.2).to(dtype)
            if len(shape) == 4:
                made, x = made.to(memory_format=memory_format), x.contiguous(memory_format=memory_format)
            self.layers.append(made)
            self.inputs.append(x.requires_grad_(not first))
        self.gradients = [torch.randn_like(y) for y in self.forward()]

    @torch.no_grad()
    def forward(self) -> list[Tensor]:
        return [layer(x) for layer, x in zip(self.layers, self.inputs, strict=True)]

    def step(self) -> None:
        """Forward and backward of all."""
        outputs = [layer(x) for layer, x in zip(self.layers, self.inputs, strict=True)]
        torch.autograd.backward(outputs, self.gradients)
        for layer, x in zip(self.layers, self.inputs, strict=True):
            x.grad = None
            layer.zero_grad(set_to_none=True)

    def capture(self, pool: Any) -> Callable[[], object]:
        """The step as a CUDA graph, in which the host's time for each operation is not counted. `pool`: memory of graphs, whose
        results nobody reads and which run one at a time.
        """
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.step()  # libraries make ready what cannot be made in a graph
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            self.step()
        return graph.replay

    def flops(self) -> int:
        """Of a step, forward and backward; a multiplication and its addition are two."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops()


def calls(model: SpikingResNet, images: Tensor) -> list[tuple[nn.Module, torch.Size, bool]]:
    """Each convolution and the head's linear layer, with the shape that it reads, and whether that is the images themselves."""
    found: list[tuple[nn.Module, torch.Size, bool]] = []

    def note(layer: nn.Module) -> Callable[..., None]:
        return lambda _module, inputs, _output: found.append(
            (layer, inputs[0].shape, inputs[0].dim() == 4 and inputs[0].shape[1] == 3)
        )

    layers = [*(module for module in model.modules() if isinstance(module, nn.Conv2d)), model.head.linear]
    handles = [layer.register_forward_hook(note(layer)) for layer in layers]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(images)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return found
