"""Gated Attention Coding spiking networks: build, train, search and measure them.

network, normalise, classes = gacsnn.load("RUN")          # or one of its checkpoints
logits = network(normalise(images))                       # [B, 3, H, W] -> [B, T, classes]
model = gacsnn.create_model("resnet18", T=4, num_classes=10, encoder="gac", layout="cifar")     # a new one
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gacsnn.data.mixing import cutmix_box
    from gacsnn.models import create_model
    from gacsnn.neuron import LIF
    from gacsnn.trained import load
    from gacsnn.weights import load_reference

__all__ = ["LIF", "create_model", "cutmix_box", "load", "load_reference"]

# Found on first use, because they bring torch, and the command line answers without it.
_HOMES = {
    "LIF": "gacsnn.neuron",
    "create_model": "gacsnn.models",
    "cutmix_box": "gacsnn.data.mixing",
    "load": "gacsnn.trained",
    "load_reference": "gacsnn.weights",
}


def __getattr__(name: str) -> Any:
    if name in ("encoders", "energy", "models", "neuron"):
        return import_module(f"gacsnn.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'gacsnn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
