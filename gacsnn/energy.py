"""How much a network spikes, and what its arithmetic would cost in energy.

Two accounts of the energy of one picture, after Horowitz (ISSCC 2014) at 4.6 pJ a multiply-accumulate (MAC) and 0.9 pJ
an accumulate (AC):

- `paper`: the convention of the GAC and MS-ResNet papers. The stem as MACs; every layer of the stages, shortcuts
  included, and the head as ACs: operations times the firing rate that feeds the layer. The gate is left out.
- `full`: what is multiplied is a MAC, what is fed by spikes an AC. The stem, the gate (SCA, TA and the two products at
  each place and step), the shortcuts (they carry membrane potentials; the first one reads the encoder's real-valued
  output) and the head (it reads means of spikes) are MACs.

Neither counts batch norm (it folds into the convolution), the LIF's own update, pooling, or memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gacsnn.config import Energy
from gacsnn.encoders import GAC, Coding
from gacsnn.models import Block, SpikingResNet
from gacsnn.neuron import LIF

PJ_IN_MJ = 1e-9


class FiringRates:
    """Spikes and neurons counted for each spiking layer and time step, over all forward calls seen."""

    def __init__(self) -> None:
        self.spikes: dict[str, Tensor] = {}
        self.sites: dict[str, int] = {}

    def count(self, layer: str, spikes: Tensor) -> None:
        fired = spikes.detach().flatten(1).sum(dim=1, dtype=torch.float64)
        self.spikes[layer] = self.spikes[layer] + fired if layer in self.spikes else fired
        self.sites[layer] = self.sites.get(layer, 0) + spikes.numel()

    def by_layer(self) -> dict[str, float]:
        """Mean spike of each spiking layer, in [0, 1], in forward order."""
        return {layer: float(spikes.sum()) / self.sites[layer] for layer, spikes in self.spikes.items()}

    def by_step(self) -> dict[str, list[float]]:
        """Mean spike of each spiking layer at each time step, in [0, 1]."""
        return {layer: (spikes * len(spikes) / self.sites[layer]).tolist() for layer, spikes in self.spikes.items()}

    def mean(self) -> float:
        """Spikes a neuron and time step over all LIF layers, in [0, 1]. The spikes of a coding are not neurons'."""
        layers = [layer for layer in self.spikes if not layer.endswith("coding")]
        return float(sum(self.spikes[layer].sum() for layer in layers)) / max(1, sum(self.sites[x] for x in layers))


@contextmanager
def firing_rates(model: nn.Module) -> Iterator[FiringRates]:
    """Count the spikes of every LIF and every coding in the model while the context lasts."""
    rates = FiringRates()

    def hook(layer: str) -> torch.utils.hooks.RemovableHandle:
        return modules[layer].register_forward_hook(lambda _module, _inputs, spikes: rates.count(layer, spikes))

    modules = {name: module for name, module in model.named_modules() if isinstance(module, LIF | Coding)}
    handles = [hook(layer) for layer in modules]
    try:
        yield rates
    finally:
        for handle in handles:
            handle.remove()


def count_macs(model: SpikingResNet, size: tuple[int, int]) -> dict[str, int]:
    """Multiply-accumulates for one picture of H x W over all time steps, layer by layer, in forward order.

    Counted from the network itself, by what each convolution and linear layer gives for a black picture; a static
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
        elif isinstance(module, GAC):
            handles.append(module.register_forward_hook(count(f"{name}.products", 2)))
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
    """One term of the accounts, for one picture and all its time steps. Energy in millijoules, firing rates in [0, 1].

    `rates`, one a time step, are those of `spiking_layer`, the LIF or coding before the layer; empty where there is
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
    model: SpikingResNet, size: tuple[int, int], rates_by_step: dict[str, list[float]], options: Energy
) -> list[Row]:
    """Both accounts of one picture of H x W, a row for each layer of the network, from its measured firing rates."""
    mac, ac = options.mac_pj * PJ_IN_MJ, options.ac_pj * PJ_IN_MJ
    feeds = spiking_inputs(model)
    rows = []
    for layer, macs in count_macs(model, size).items():
        part = part_of(layer)
        if options.encoder == "repeated" and layer.startswith(REPEATED) and "encoder.coding" not in rates_by_step:
            macs *= model.T
        spiking_layer = feeds.get(layer, "")
        rates = rates_by_step.get(spiking_layer, [])
        operations = macs * sum(rates) / model.T
        spikes = INPUTS.get(part, "spikes") == "spikes" and bool(rates)
        paper = 0.0 if part == "gate" else ac * operations if rates else mac * macs
        full = ac * operations if spikes else mac * macs
        source = "spikes" if spikes else INPUTS.get(part, "real values")
        rows.append(
            Row(
                layer,
                part,
                source,
                macs,
                spiking_layer if rates else "",
                rates,
                operations if spikes else 0.0,
                paper,
                full,
            )
        )
    return rows


# What a part of the network reads where that is not spikes; the stem reads real values, or the spikes of a coding.
INPUTS = {"gate": "real values", "shortcuts": "membrane potential", "head": "mean of spikes"}

# What the released programs compute T times and we compute once.
REPEATED = ("encoder.stem.", "encoder.spatial_channel.")


def spiking_inputs(model: SpikingResNet) -> dict[str, str]:
    """For a layer, the LIF or coding whose firing rate stands for its input: of its own, or of the block around it."""
    feeds = {"head.linear": "head.lif", "encoder.stem.0": "encoder.coding", "encoder.products": "encoder.lif"}
    for name, module in model.named_modules():
        if isinstance(module, Block):
            feeds |= {f"{name}.conv1": f"{name}.lif1", f"{name}.conv2": f"{name}.lif2"}
            feeds |= {f"{name}.shortcut.{index}": f"{name}.lif1" for index in range(3)}
    return feeds


def part_of(layer: str) -> str:
    """Where a layer stands in the network: stem, gate, stage N, shortcuts, head."""
    if layer.startswith("encoder"):
        return "stem" if layer.startswith("encoder.stem.") else "gate"
    if layer.startswith("head."):
        return "head"
    return "shortcuts" if ".shortcut." in layer else f"stage {int(layer.split('.')[1]) + 1}"


def totals(rows: list[Row]) -> dict[str, float]:
    """What `result.json` holds of the accounts: of one picture, all time steps."""
    return {
        "energy_mj": sum(row.paper_mj for row in rows),
        "energy_full_mj": sum(row.full_mj for row in rows),
        "sops": sum(row.sops for row in rows),
        "macs": sum(row.macs for row in rows),
    }
