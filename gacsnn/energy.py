"""How much a network spikes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gacsnn.neuron import LIF


class FiringRates:
    """Spikes and neurons counted for each spiking layer, over all forward calls seen."""

    def __init__(self) -> None:
        self.spikes: dict[str, Tensor] = {}
        self.sites: dict[str, int] = {}

    def count(self, layer: str, spikes: Tensor) -> None:
        fired = spikes.detach().sum(dtype=torch.float64)
        self.spikes[layer] = self.spikes[layer] + fired if layer in self.spikes else fired
        self.sites[layer] = self.sites.get(layer, 0) + spikes.numel()

    def by_layer(self) -> dict[str, float]:
        """Mean spike of each spiking layer, in [0, 1], in forward order."""
        return {layer: float(spikes) / self.sites[layer] for layer, spikes in self.spikes.items()}

    def mean(self) -> float:
        """Spikes a neuron and time step over the whole network, in [0, 1]."""
        return float(sum(map(float, self.spikes.values()))) / max(1, sum(self.sites.values()))


@contextmanager
def firing_rates(model: nn.Module) -> Iterator[FiringRates]:
    """Count the spikes of every LIF in the model while the context lasts."""
    rates = FiringRates()

    def hook(layer: str) -> torch.utils.hooks.RemovableHandle:
        return modules[layer].register_forward_hook(lambda _module, _inputs, spikes: rates.count(layer, spikes))

    modules = {name: module for name, module in model.named_modules() if isinstance(module, LIF)}
    handles = [hook(layer) for layer in modules]
    try:
        yield rates
    finally:
        for handle in handles:
            handle.remove()
