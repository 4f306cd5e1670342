"""The same network with SpikingJelly's neurons, where that is installed: what users of it would compare with."""

import copy
from typing import Any

from torch import Tensor, nn

from gacsnn.models import SpikingResNet
from gacsnn.neuron import LIF


class MissingError(Exception):
    """Why there is nothing to compare with, in a few words."""


class JellyLIF(nn.Module):
    """The multi-step LIFNode of SpikingJelly 2, which takes its fastest backend by itself, with our constants.

    It fires at its threshold, too, and not only above.
    """

    def __init__(self, lif: LIF) -> None:
        super().__init__()
        from spikingjelly.activation_based import neuron, surrogate  # pyright: ignore[reportMissingImports]

        alpha = 1 / lif.surrogate_width
        shape = surrogate.PiecewiseQuadratic(alpha) if lif.surrogate == "triangle" else surrogate.Rect(alpha)
        tau = 1 / (1 - lif.decay) if lif.decay < 1 else float("inf")
        self.node: Any = neuron.LIFNode(
            tau=tau, decay_input=False, v_threshold=lif.threshold, v_reset=0.0, surrogate_function=shape,
            detach_reset=lif.detach_reset, step_mode="m",
        )  # fmt: skip

    def forward(self, current: Tensor) -> Tensor:
        self.node.reset()
        return self.node(current)


def jelly(model: SpikingResNet) -> nn.Module:
    """A copy of the network with those neurons.

    Raises:
        MissingError: when SpikingJelly is not installed, or cannot be imported.
    """
    made = copy.deepcopy(model)
    made.use(None)
    try:
        for module in list(made.modules()):
            for name, child in module.named_children():
                if isinstance(child, LIF):
                    setattr(module, name, JellyLIF(child))
    except ImportError as error:
        raise MissingError(f"SpikingJelly cannot be imported ({error})") from None
    return made
