"""How good a network is on a split."""

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gacsnn import draws
from gacsnn.data.loader import Loader, batch_count, image_count, shares_of
from gacsnn.data.normalise import Normalise
from gacsnn.energy import firing_rates
from gacsnn.errors import DivergenceError
from gacsnn.runtime.console import Progress
from gacsnn.runtime.device import Machine
from gacsnn.statistics import is_above


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
    # Where it was asked for: of each pair of a class and what its images were taken for that there is one of, how many.
    confusion: dict[tuple[int, int], int] | None = None


def evaluate(
    model: nn.Module,
    loader: Loader,
    normalise: Normalise,
    machine: Machine,
    description: str = "evaluating",
    by_key: bool = True,
    by_class: bool = False,
) -> Score:
    """Measure the model on every image of a split once. Top-5 is of as many classes as there are, if fewer.

    Sums do not depend on how many processes share the images: counts are whole numbers, and the losses of all images are
    added up exactly. `by_key`: what an encoder draws belongs to the image, and not to what was drawn before. `by_class`: the
    score has a confusion matrix, too.

    Raises:
        DivergenceError: if the loss is not finite: the classes would be those of no number.
    """
    model.eval()
    started = time.perf_counter()
    group, count = machine.group, image_count(loader)
    hits = torch.zeros(2, dtype=torch.float64, device=machine.device)
    losses: list[Tensor] = []
    pairs: list[Tensor] = []
    with torch.no_grad(), firing_rates(model) as rates, Progress(description, count) as progress:
        for images, labels, keys in loader:
            labels = labels.to(machine.device, non_blocking=True)
            with machine.autocast(), draws.keyed(keys.to(machine.device, non_blocking=True) if by_key else None):
                logits = model(normalise(images))
            mean = machine.exact(logits).mean(dim=1)
            best = mean.topk(min(5, mean.shape[1])).indices
            found = best == labels[:, None]
            pairs.append(torch.stack([labels, best[:, 0]], dim=1))
            losses.append(F.cross_entropy(mean, labels, reduction="none"))
            hits += torch.stack([found[:, 0].sum(), found.sum()])
            progress.advance(batch_count(loader, len(losses) - 1))
            group.stop_if_requested()
    rates.reduced(group.total)
    top1, top5 = group.total(hits).tolist()
    own = torch.cat(losses).double()
    shares = [shares_of(batch_count(loader, batch), group.size) for batch in range(len(losses))]
    counts = [sum(of_process) for of_process in zip(*shares, strict=True)]
    everywhere = group.gathered(own, counts)
    loss = sum_of(value for there in everywhere for value in there.tolist()) / count
    if not math.isfinite(loss):
        raise DivergenceError(
            f"{description}: the mean loss of {count} images is {loss}, which says nothing of the network"
        )
    confusion = counted(group.gathered(torch.cat(pairs), counts)) if by_class else None
    seconds = time.perf_counter() - started
    return Score(100 * top1 / count, 100 * top5 / count, loss, rates.mean(), count, seconds, rates.by_step(), confusion)


def sum_of(values: Iterable[float]) -> float:
    """Return the exact sum. It is NaN where infinities of both signs or an overflow leave none."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan


def counted(pairs: list[Tensor]) -> dict[tuple[int, int], int]:
    """How often each row of [images, 2] occurs: no matrix, which of many classes would fill the memory."""
    found, counts = torch.cat(pairs).unique(dim=0, return_counts=True)
    return {(row[0], row[1]): number for row, number in zip(found.tolist(), counts.tolist(), strict=True)}


CAUSES = "likely causes: optimizer.lr is too high or too low, too few epochs, or images that all look alike"


def chance_warning(score: Score, classes: list[str], split: str) -> str | None:
    """Return a warning if the network tells the classes apart no better than chance, or None.

    One class with more than 90 % of the predictions is a reason if it has most images of the other classes, too. Both reasons
    need enough images for a one-sided binomial test: few images show nothing.
    """
    if score.confusion is None:
        return None
    labels, predictions = Counter[int](), Counter[int]()
    for (label, prediction), count in score.confusion.items():
        labels[label] += count
        predictions[prediction] += count
    (chosen, times), (frequent, most) = (counts.most_common(1)[0] for counts in (predictions, labels))
    images, others = score.images, score.images - labels[chosen]
    if 10 * times > 9 * images and is_above(times - score.confusion.get((chosen, chosen), 0), others, 0.5):
        return (
            f"the network takes {100 * times / images:.1f} % of the {split} images for class {escaped(classes[chosen])}, and "
            f"{100 * labels[chosen] / images:.1f} % belong to it; {CAUSES}"
        )
    correct = sum(count for (label, prediction), count in score.confusion.items() if label == prediction)
    is_enough = is_above((images + most) // 2, images, most / images)  # half-way from chance to all images
    if is_enough and not is_above(correct, images, most / images):
        return (
            f"top-1 on the {split} split is {score.top1:.1f} %, no better than chance: class {escaped(classes[frequent])} has "
            f"{100 * most / images:.1f} % of the images; {CAUSES}"
        )
    return None


def escaped(name: str) -> str:
    """Replace the characters of a class name that no line can show, such as line breaks, by their escapes."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name)
