"""Small networks and inputs that several test files share."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gacsnn.config.schema import Config
from gacsnn.models import SpikingResNet, create_model
from gacsnn.neuron import LIF

# What max_resnet18 brings with it.
MAX_NEURON = {"decay": 0.5, "threshold": 1.0, "detach_reset": True}


def random_images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    """Equal but for rounding in float64."""
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


def small(
    name: str = "resnet8", encoder: str = "gac", layout: str = "cifar", T: int = 2, classes: int = 5, **options: object
) -> SpikingResNet:
    torch.manual_seed(0)
    settings: dict[str, object] = {"width": 1 / 16, **options}
    return create_model(name, T=T, num_classes=classes, encoder=encoder, layout=layout, **settings)  # type: ignore[arg-type]


def of_config(chosen: Config, classes: int = 10, width: float | None = None) -> SpikingResNet:
    """The network that a run of this config builds."""
    return create_model(
        chosen.model.name,
        T=chosen.T,
        num_classes=classes,
        encoder=chosen.encoder.name,
        layout=chosen.model.layout,
        width=chosen.model.width if width is None else width,
        stages=chosen.model.stages,
        neuron=chosen.neuron.model_dump(),
        encoder_options=chosen.encoder.model_dump(exclude={"name"}),
    )


def constants(model: nn.Module) -> set[tuple[float, float, bool]]:
    """(decay, threshold, detach_reset) of every neuron of the network."""
    return {(m.decay, m.threshold, m.detach_reset) for m in model.modules() if isinstance(m, LIF)}


def trains(model: SpikingResNet, size: tuple[int, int]) -> None:
    """A forward and backward pass: shapes, finite numbers, a gradient for every parameter."""
    logits = model(random_images(2, 3, *size))
    assert logits.shape == (2, model.T, 5)
    F.cross_entropy(logits.mean(dim=1), torch.tensor([0, 1])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def spiking(model: nn.Module) -> list[str]:
    """The layers whose spikes are counted."""
    names = [name for name, module in model.named_modules() if isinstance(module, LIF)]
    return [*names, *(name for name, _ in model.named_modules() if name == "encoder.coding")]


def fabricated(model: SpikingResNet, seed: int = 0) -> dict[str, list[float]]:
    """A firing rate for every spiking layer and step."""
    generator = np.random.default_rng(seed)
    return {name: generator.random(model.T).tolist() for name in spiking(model)}


def uniform(model: SpikingResNet, rate: float) -> dict[str, list[float]]:
    return {name: [rate] * model.T for name in spiking(model)}
