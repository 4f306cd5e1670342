"""How good a network is on a split."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gacsnn.data.loader import Loader, image_count
from gacsnn.data.normalise import Normalise
from gacsnn.energy import firing_rates
from gacsnn.runtime.console import Progress
from gacsnn.runtime.device import Machine
from gacsnn.runtime.signals import stop_if_requested


@dataclass(frozen=True)
class Score:
    """top-1 and top-5 in percent, loss as cross-entropy of the mean over T, firing rate in [0, 1]."""

    top1: float
    top5: float
    loss: float
    firing_rate: float
    images: int
    seconds: float
    rates_by_step: dict[str, list[float]]  # of each spiking layer, in forward order


def evaluate(
    model: nn.Module,
    loader: Loader,
    normalise: Normalise,
    machine: Machine,
    description: str = "evaluating",
) -> Score:
    """Measure the model on every image of a split once. Top-5 is of as many classes as there are, if fewer."""
    model.eval()
    started = time.perf_counter()
    count = image_count(loader)
    totals = torch.zeros(3, dtype=torch.float64, device=machine.device)
    with torch.no_grad(), firing_rates(model) as rates, Progress(description, count) as progress:
        for images, labels in loader:
            labels = labels.to(machine.device, non_blocking=True)
            with machine.autocast():
                logits = model(normalise(images))
            mean = logits.float().mean(dim=1)
            hits = mean.topk(min(5, mean.shape[1])).indices == labels[:, None]
            loss = F.cross_entropy(mean, labels, reduction="sum")
            totals += torch.stack([hits[:, 0].sum().double(), hits.sum().double(), loss.double()])
            progress.advance(len(labels))
            stop_if_requested()
    top1, top5, loss_sum = totals.tolist()
    seconds = time.perf_counter() - started
    return Score(
        100 * top1 / count, 100 * top5 / count, loss_sum / count, rates.mean(), count, seconds, rates.by_step()
    )
