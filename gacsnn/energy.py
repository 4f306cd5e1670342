"""How much a network spikes, and what its arithmetic would cost in energy.

Two accounts of the energy per image, after Horowitz (ISSCC 2014) at 4.6 pJ a multiply-accumulate (MAC) and 0.9 pJ
an accumulate (AC):

- `paper`: the convention of the GAC and MS-ResNet papers. The stem as MACs; every layer of the stages, shortcuts
  included, and the head as ACs: operations times the firing rate that feeds the layer. The gate is left out.
- `full`: what is multiplied is a MAC, what is fed by spikes an AC. The stem, the gate (SCA, TA and the two products at
  each place and step), the shortcuts (they carry membrane potentials; the first one reads the encoder's real-valued
  output) and the head (it reads means of spikes) are MACs.

Neither counts batch norm (it folds into the convolution), the LIF's own update, pooling, or memory.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gacsnn.encoders import Encoder, SpikeCode
from gacsnn.models import SpikingResNet
from gacsnn.neuron import LIF

PJ_IN_MJ = 1e-9

# A layer is silent at a step where less of its neurons fire, and saturated where more do.
SILENT, SATURATED = 0.001, 0.95


class FiringRates:
    """Spikes and neurons counted for each spiking layer and time step, over all forward calls seen."""

    def __init__(self) -> None:
        self.spikes: dict[str, Tensor] = {}
        self.neuron_steps: dict[str, int] = {}
        self.codes: set[str] = set()  # layers whose spikes are not neurons', but a code's

    def count(self, layer: str, spikes: Tensor) -> None:
        fired = spikes.detach().flatten(1).sum(dim=1, dtype=torch.float64)
        self.spikes[layer] = self.spikes[layer] + fired if layer in self.spikes else fired
        self.neuron_steps[layer] = self.neuron_steps.get(layer, 0) + spikes.numel()

    def reduced(self, total: Callable[[Tensor], Tensor]) -> None:
        """Count what other processes counted as well; `total` is the sum over them. Counts are whole numbers: it is exact."""
        for layer, spikes in self.spikes.items():
            counted = total(torch.cat([spikes, spikes.new_tensor([self.neuron_steps[layer]])]))
            self.spikes[layer], self.neuron_steps[layer] = counted[:-1], int(counted[-1])

    def by_layer(self) -> dict[str, float]:
        """Mean spike of each spiking layer, in [0, 1], in forward order."""
        return {layer: float(spikes.sum()) / self.neuron_steps[layer] for layer, spikes in self.spikes.items()}

    def by_step(self) -> dict[str, list[float]]:
        """Mean spike of each spiking layer at each time step, in [0, 1]."""
        return {
            layer: (spikes * len(spikes) / self.neuron_steps[layer]).tolist() for layer, spikes in self.spikes.items()
        }

    def mean(self) -> float:
        """Spikes per neuron and time step over all LIF layers, in [0, 1]."""
        layers = [layer for layer in self.spikes if layer not in self.codes]
        return float(sum(self.spikes[layer].sum() for layer in layers)) / max(
            1, sum(self.neuron_steps[x] for x in layers)
        )


@contextmanager
def firing_rates(model: nn.Module) -> Iterator[FiringRates]:
    """Count the spikes of every LIF and every spike code in the model while the context lasts."""
    rates = FiringRates()

    def counter(layer: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, spikes: rates.count(layer, spikes)

    modules = {name: module for name, module in model.named_modules() if isinstance(module, LIF | SpikeCode)}
    rates.codes = {name for name, module in modules.items() if isinstance(module, SpikeCode)}
    handles = [module.register_forward_hook(counter(layer)) for layer, module in modules.items()]
    try:
        yield rates
    finally:
        for handle in handles:
            handle.remove()


def extremes(model: SpikingResNet, rates_by_step: Mapping[str, list[float]]) -> dict[str, list[dict[str, Any]]]:
    """Which LIF layers hardly fire, or nearly always, at which step: what `result.json` holds of it, steps counted from 1.

    `silent_by_construction` are the places among the silent ones where no weights could make it otherwise.
    """
    neurons = [name for name, module in model.named_modules() if isinstance(module, LIF)]
    places = [
        {"layer": layer, "step": t + 1, "rate": rate}
        for layer, rates in rates_by_step.items()
        if layer in neurons
        for t, rate in enumerate(rates)
    ]
    never = [{"layer": layer, "step": step} for layer, steps in never_fire(model).items() for step in steps]
    return {
        "silent": [place for place in places if place["rate"] < SILENT],
        "saturated": [place for place in places if place["rate"] > SATURATED],
        "silent_by_construction": never,
    }


def never_fire(model: SpikingResNet) -> dict[str, list[int]]:
    """The steps, counted from 1, at which a layer cannot fire, whatever weights and image.

    It is the first LIF behind GAC's encoder, whose output is a sigmoid times a spike, and so below 1. The greatest potential
    that this can come to at step t, h[t] = decay * h[t-1] + 1, is not above a threshold of 1 at t = 1.
    """
    name, lif = next((name, module) for name, module in model.stages.named_modules() if isinstance(module, LIF))
    steps: list[int] = []
    highest = 0.0
    for step in range(1, model.T + 1):
        highest = lif.decay * highest + model.encoder.bound
        if highest > lif.threshold:
            break
        steps.append(step)
    return {f"stages.{name}": steps} if steps else {}


def count_macs(model: SpikingResNet, size: tuple[int, int]) -> dict[str, int]:
    """Multiply-accumulates for one image of H x W over all time steps, layer by layer, in forward order.

    Counted from the network itself, by what each convolution and linear layer gives for a black image; a static
    encoder's stem and gate are computed once. Biases are not counted. `encoder.products` are GAC's two products,
    TA * SCA and gate * spike.
    """
    macs: dict[str, int] = {}

    def count(name: str, each: int) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, output: macs.update({name: output.numel() * each})

    handles = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(count(name, module.weight[0].numel())))
        elif isinstance(module, Encoder) and module.products:
            handles.append(module.register_forward_hook(count(f"{name}.products", module.products)))
    training = [module for module in model.modules() if module.training]
    weight = next(model.parameters())
    try:
        with torch.no_grad(), torch.random.fork_rng():
            model.eval()(torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device))
    finally:
        for module in training:
            module.training = True
        for handle in handles:
            handle.remove()
    return macs


@dataclass(frozen=True)
class Row:
    """One term of the accounts, for one image and all its time steps. Energy in millijoules, firing rates in [0, 1].

    `rates`, one a time step, are those of `spiking_layer`, the LIF or spike code before the layer; empty where there is
    none. `sops` are the synaptic operations: macs times firing rate, 0 where the layer's input is no spikes.
    """

    layer: str
    part: str
    input: str
    macs: int
    spiking_layer: str
    rates: list[float]
    sops: float
    paper_mj: float
    full_mj: float

    @property
    def firing_rate(self) -> float | None:
        return sum(self.rates) / len(self.rates) if self.rates else None


def energy_account(
    model: SpikingResNet,
    size: tuple[int, int],
    rates_by_step: Mapping[str, list[float]],
    *,
    mac_pj: float = 4.6,
    ac_pj: float = 0.9,
    encoder: str = "once",
) -> list[Row]:
    """Both accounts for one image of H x W, a row for each layer of the network, from its measured firing rates.

    Args:
        model: says of each of its layers what that layer reads.
        size: (H, W) of the image.
        rates_by_step: for each spiking layer its firing rate at each time step, in [0, 1].
        mac_pj: energy of a multiply-accumulate, pJ.
        ac_pj: energy of an accumulate, pJ.
        encoder: count stem and gate "once" per image, or "repeated", T times, as released.
    """
    mac, ac = mac_pj * PJ_IN_MJ, ac_pj * PJ_IN_MJ
    inputs = model.layer_inputs()
    rows = []
    for layer, macs in count_macs(model, size).items():
        reads = inputs[layer]
        if encoder == "repeated" and reads.repeated:
            macs *= model.T
        rates = rates_by_step[reads.spiking_layer] if reads.spiking_layer else []
        operations = macs * sum(rates) / model.T
        spikes = reads.kind == "spikes"
        paper = 0.0 if reads.part == "gate" else ac * operations if rates else mac * macs
        full = ac * operations if spikes else mac * macs
        sops = operations if spikes else 0.0
        rows.append(Row(layer, reads.part, reads.kind, macs, reads.spiking_layer, rates, sops, paper, full))
    return rows


def totals(rows: list[Row]) -> dict[str, float]:
    """What `result.json` holds of the accounts: per image, all time steps."""
    return {
        "energy_mj": sum(row.paper_mj for row in rows),
        "energy_full_mj": sum(row.full_mj for row in rows),
        "sops": sum(row.sops for row in rows),
        "macs": sum(row.macs for row in rows),
    }
