"""A training in this process: what it reads, in which order, and which weights it measures."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from program import TINY, config, read_metrics
from torch import Tensor

from gacsnn.config.schema import Digits
from gacsnn.data import load_splits
from gacsnn.data.images import Images
from gacsnn.data.splits import Splits
from gacsnn.tasks import experiment, train
from gacsnn.training import loop
from gacsnn.training.trainer import Step, Trainer, TrainState

OPTIONS = (*TINY, "epochs=3", "limit_train=16", "limit_eval=null", "batch_size=8", "dataset.augment.crop_padding=2")


class Untouchable:
    """Images that nobody may look at."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> str:
        raise AssertionError("the test split was read")


def without_test_images(options: Digits) -> Splits:
    splits = load_splits(options)
    test: Any = Untouchable(len(splits.test))
    return replace(splits, test=Images(test, splits.test.labels, splits.test.transform))


@dataclass
class Trained:
    """A run that may not read its test split, whose first epoch counts as the best."""

    path: Path
    result: dict[str, Any] = field(default_factory=dict)
    images: list[bytes] = field(default_factory=list)  # as the steps saw them
    labels: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    run = Trained(tmp_path_factory.mktemp("trained") / "run")
    original = Trainer.step

    def step(self: Trainer, images: Tensor, labels: Tensor, keys: Tensor) -> Step:
        run.images += [image.numpy().tobytes() for image in images]
        run.labels += labels.tolist()
        return original(self, images, labels, keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "load_splits", without_test_images)
        patch.setattr(loop, "is_better", lambda _top1, _loss, state: state.best_top1 is None)
        patch.setattr(Trainer, "step", step)
        run.result = train.run(config(*OPTIONS, "task.test=false", f"output_dir={run.path}"), None, None)
    return run


def test_without_task_test_the_test_split_is_never_read(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (trained.result["top1"], trained.result["split"], trained.result["images"]) == (None, "validation", 216)
    monkeypatch.setattr(experiment, "load_splits", without_test_images)
    with pytest.raises(AssertionError, match="the test split was read"):
        train.run(config(*OPTIONS, "epochs=1", f"output_dir={tmp_path / 'run'}"), None, None)


def test_every_epoch_has_an_order_and_an_augmentation_of_its_own(trained: Trained) -> None:
    epochs = [slice(start, start + 16) for start in (0, 16, 32)]
    orders = [trained.labels[epoch] for epoch in epochs]
    assert [sorted(order) for order in orders] == [sorted(orders[0])] * 3
    assert len({tuple(order) for order in orders}) == 3
    # Of 25 crops of an image each is as likely: a few come again.
    assert len(set(trained.images)) > 36


def test_the_weights_of_the_best_epoch_are_measured_and_not_the_last_ones(trained: Trained) -> None:
    lines = read_metrics(trained.path)
    rates = [line["firing_rate"] for line in lines]
    assert len(set(rates)) == 3
    assert trained.result["firing_rate"] == rates[0]
    assert trained.result["validation_top1"] == lines[0]["validation_top1"]
    assert trained.result["selected_by"] == "best top-1 on the validation split (epoch 1 of 3)"


@pytest.mark.parametrize(
    ("top1", "loss", "better"), [(51.0, 9.0, True), (49.0, 0.1, False), (50.0, 1.9, True), (50.0, 2.1, False)]
)
def test_better_is_a_higher_top1_or_the_same_with_a_smaller_loss(top1: float, loss: float, better: bool) -> None:
    assert loop.is_better(top1, loss, TrainState(best_top1=50.0, best_loss=2.0)) == better
