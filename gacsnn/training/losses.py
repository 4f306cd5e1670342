"""Losses: of logits [B, T, classes] and labels [B], a mean over the batch.

TET: Deng et al., "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting", ICLR 2022.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gacsnn.config.schema import TET, CrossEntropy

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the mean of the logits over T."""
    return F.cross_entropy(logits.mean(dim=1), labels, label_smoothing=label_smoothing)


def tet(logits: Tensor, labels: Tensor, lamb: float = 0.05, means: float = 1.0, label_smoothing: float = 0.0) -> Tensor:
    """(1 - lamb) * mean over t of the cross-entropy at t + lamb * mean squared distance of all logits from `means`."""
    each_step = F.cross_entropy(
        logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]), label_smoothing=label_smoothing
    )
    return (1 - lamb) * each_step + lamb * F.mse_loss(logits, torch.full_like(logits, means))


LOSSES: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy, "tet": tet}


def make_loss(options: CrossEntropy | TET) -> Loss:
    return partial(LOSSES[options.name], **options.model_dump(exclude={"name"}))
