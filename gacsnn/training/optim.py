"""Optimizer and learning-rate schedule of a config."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from gacsnn.config.schema import SGD, Adam, Constant, Cosine, Step

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def make_optimizer(model: nn.Module, options: SGD | Adam, fused: bool = False) -> torch.optim.Optimizer:
    """`fused`: a step is one pass over each weight; it agrees with torch's default to rounding."""
    return OPTIMIZERS[options.name](model.parameters(), **options.model_dump(exclude={"name"}), fused=fused or None)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on from a state; whether steps are fused is as this optimizer was made, and not as that one was."""
    for group in state["param_groups"]:
        group["fused"] = optimizer.defaults["fused"]
    optimizer.load_state_dict(state)


def lr_factor(options: Cosine | Step | Constant, epoch: float, epochs: int, step: float = 1.0) -> float:
    """What the learning rate is multiplied by when `epoch` of `epochs` are done.

    `step` is the distance between two changes, in epochs: 1, or less where the rate changes within an epoch. Warm-up
    rises linearly from one such step's fraction; cosine falls from there to the end of the last epoch.
    """
    if epoch < options.warmup_epochs:
        return min(1.0, (epoch + step) / options.warmup_epochs)
    if isinstance(options, Cosine):
        part = min(1.0, (epoch - options.warmup_epochs) / max(epochs - options.warmup_epochs, step))
        return options.final_fraction + (1 - options.final_fraction) * 0.5 * (1 + math.cos(math.pi * part))
    if isinstance(options, Step):
        return options.factor ** (epoch // options.every_epochs)
    return 1.0


def make_scheduler(
    optimizer: torch.optim.Optimizer, options: Cosine | Step | Constant, epochs: int, steps_per_epoch: int
) -> LambdaLR:
    """To be stepped after each epoch or each step, as `options.interval` says."""
    per_epoch = steps_per_epoch if options.interval == "step" else 1
    return LambdaLR(optimizer, lambda count: lr_factor(options, count / per_epoch, epochs, 1 / per_epoch))
