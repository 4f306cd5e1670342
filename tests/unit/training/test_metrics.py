"""What is measured: means over images, and not over batches."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from program import TINY, config
from torch import Tensor, nn

from gacsnn.data.images import Images
from gacsnn.data.loader import batches
from gacsnn.runtime.device import prepare_machine
from gacsnn.runtime.group import this_group
from gacsnn.training.loop import read_steps
from gacsnn.training.metrics import Score, chance_warning, evaluate
from gacsnn.training.trainer import Step, TrainState


class Table(nn.Module):
    """Logits [B, T, classes] that are known of each image: its first pixel says which."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        return self.logits[images[:, 0, 0, 0].long()]


def test_loss_and_accuracy_are_means_over_images_though_the_last_batch_is_smaller() -> None:
    logits = torch.randn(5, 2, 7, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 6)[:, None, None]
    logits[4] -= 9 * F.one_hot(torch.tensor(4), 7)  # the last image, a batch of its own, is taken for something else
    labels = torch.arange(5)
    numbers = labels.to(torch.uint8)[:, None, None, None].expand(5, 3, 2, 2)
    machine: Any = prepare_machine(config(*TINY).hardware)
    with batches(Images(numbers, labels), 2, shuffle=False, seed=0, workers=0, pin_memory=False) as loader:
        score = evaluate(Table(logits), loader, lambda images: images, machine, by_class=True)  # type: ignore[arg-type]
    mean = logits.mean(dim=1)
    assert score.loss == pytest.approx(F.cross_entropy(mean, labels).item(), rel=1e-6)
    found = mean.argmax(dim=1)
    assert score.top1 == pytest.approx(100 * (found == labels).float().mean().item())
    top5 = (mean.topk(5).indices == labels[:, None]).any(dim=1)
    assert score.top5 == pytest.approx(100 * top5.float().mean().item())
    assert score.confusion == dict.fromkeys(zip(labels.tolist(), found.tolist(), strict=True), 1)
    assert score.images == 5


def test_the_training_loss_is_a_mean_over_images_too() -> None:
    trainer: Any = SimpleNamespace(state=TrainState(step=2), group=this_group())
    losses = ((1.0, 3, 4), (2.5, 1, 1))
    read_steps([Step(torch.tensor(loss), torch.tensor(hits), count) for loss, hits, count in losses], trainer)
    assert (trainer.state.epoch_loss, trainer.state.epoch_correct) == (1.0 * 4 + 2.5 * 1, 4)


def score_of(confusion: dict[tuple[int, int], int]) -> Score:
    """A score of so many images of each pair of label and prediction."""
    images = sum(confusion.values())
    correct = sum(count for (label, predicted), count in confusion.items() if label == predicted)
    return Score(100 * correct / images, 100.0, 1.0, 0.1, images, 1.0, {}, confusion)


MOSTLY_ZERO = {(label, 0): 95 for label in range(10)} | {(label, label): 5 for label in range(1, 10)}
EVENLY = {(label, predicted): 10 for label in range(10) for predicted in range(10)}


@pytest.mark.parametrize(
    ("confusion", "said"),
    [
        (MOSTLY_ZERO, "95.5 % of the test images for class 0, and 9.5 % belong to it"),
        ({(0, 0): 50, (1, 0): 40, (1, 1): 10}, None),
        ({(0, 0): 50, (1, 0): 45, (1, 1): 5}, "95.0 % of the test images for class 0, and 50.0 % belong to it"),
        ({(0, 0): 950, (1, 0): 50}, "100.0 % of the test images for class 0, and 95.0 % belong to it"),
        (EVENLY, "top-1 on the test split is 10.0 %, no better than chance: class 0 has 10.0 % of the images"),
        (EVENLY | {(label, label): 30 for label in range(10)}, None),
    ],
)
def test_chance_warning_with_enough_images_names_collapse_or_chance(
    confusion: dict[tuple[int, int], int], said: str | None
) -> None:
    found = chance_warning(score_of(confusion), [str(label) for label in range(10)], "test")
    assert (found is None) == (said is None), found
    assert said is None or said in str(found)


@pytest.mark.parametrize("confusion", [MOSTLY_ZERO, EVENLY])
def test_chance_warning_of_a_class_name_with_line_breaks_stays_one_line(confusion: dict[tuple[int, int], int]) -> None:
    found = str(chance_warning(score_of(confusion), ["grey\ncat\r\u2028é", *"bcdefghij"], "test"))
    assert r"class grey\ncat\r\u2028é" in found
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize(
    "confusion",
    [
        {(0, 0): 2, (0, 1): 2, (1, 0): 2, (1, 1): 2},  # few images, half of them right
        {(0, 0): 4, (1, 0): 4},  # few images, one prediction
        {(0, 0): 99, (1, 0): 1},  # one image of the rare class
        {(0, 0): 950, (1, 0): 25, (1, 1): 25},  # most predictions name the frequent class, and rightly
    ],
)
def test_chance_warning_of_few_images_or_skewed_labels_is_quiet(confusion: dict[tuple[int, int], int]) -> None:
    assert chance_warning(score_of(confusion), ["a", "b"], "test") is None
