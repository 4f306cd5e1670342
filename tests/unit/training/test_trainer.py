"""One step of training, and what a trainer that goes on takes up."""

import copy

import pytest
import torch
import torch.nn.functional as F
from networks import random_images
from program import TINY, config
from torch import Tensor

from gacsnn import draws
from gacsnn.data.mixing import Draw
from gacsnn.training import trainer as trainer_module
from gacsnn.training.trainer import Trainer


def made(*options: str) -> Trainer:
    from gacsnn.tasks.experiment import prepare

    prepared = prepare(config(*TINY, "batch_size=4", *options))
    return Trainer(prepared.model, prepared.config, prepared.machine, prepared.normalise, 64)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Four images with labels and keys of their own."""
    pixels = (random_images(4, 3, 8, 8) * 40 + 100).clamp(0, 255).to(torch.uint8)
    return pixels, torch.arange(4), torch.arange(4)


@pytest.mark.parametrize(("every", "draws"), [("batch", 4), ("epoch", 0)])
def test_a_box_is_drawn_once_a_batch_or_left_alone_for_the_epoch(
    every: str, draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = made("augmentation=cutmix", f"augmentation.drawn_every={every}")
    trainer.drawn = Draw("cutmix", 0.5, 0.5, 0.5)
    count = []
    monkeypatch.setattr(trainer_module, "draw", lambda _augmentation: count.append(1) or Draw())
    for _ in range(4):
        trainer.step(*batch())
    assert len(count) == draws
    assert trainer.drawn == (Draw() if draws else Draw("cutmix", 0.5, 0.5, 0.5))


@pytest.mark.parametrize("method", ["cutmix", "mixup"])
def test_a_step_is_on_the_mixed_images_and_its_loss_on_both_labels(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CutMix of a box of 4 x 6 of 8 x 8 pixels, whose side is sqrt(1 - 0.4) of the image's, cut off at its edge."""
    trainer = made("augmentation=cutmix", "augmentation.drawn_every=epoch")
    trainer.model.train()
    trainer.drawn = Draw(method, 0.4, 0.125, 0.5)
    partner = torch.tensor([2, 0, 3, 1])
    monkeypatch.setattr(trainer_module, "partners", lambda _count, _drawn: partner)
    pixels, labels, keys = batch()
    own = trainer.normalise(pixels)
    if method == "cutmix":
        mixed, lam = own.clone(), 1 - 4 * 6 / 64
        mixed[:, :, 0:4, 1:7] = own[partner][:, :, 0:4, 1:7]
    else:
        mixed, lam = 0.4 * own + 0.6 * own[partner], 0.4
    with draws.keyed(keys):
        logits = copy.deepcopy(trainer.model)(mixed).mean(dim=1)
    expected = lam * F.cross_entropy(logits, labels) + (1 - lam) * F.cross_entropy(logits, labels[partner])
    step = trainer.step(pixels, labels, keys)
    torch.testing.assert_close(step.loss, expected.detach(), rtol=1e-5, atol=1e-6)
    assert step.correct == (logits.argmax(dim=1) == labels).sum()


def test_who_goes_on_has_the_state_of_who_was_saved() -> None:
    """The loss scale of fp16, the rate of the schedule, the moments, and the best score so far."""
    options = ("hardware.precision=fp16", "scheduler=cosine", "scheduler.interval=step", "epochs=2")
    first, second = made(*options), made(*options)
    first.scaler.load_state_dict({**first.scaler.state_dict(), "scale": 8.0, "growth_tracker": 7})
    first.state.best_epoch, first.state.best_top1, first.state.best_loss = 1, 50.0, 1.5
    first.begin_epoch()
    for _ in range(2):
        first.step(*batch())
    saved = copy.deepcopy(first.content(["a", "b"]))
    second.restore(saved, "here")
    assert saved["scaler"]["scale"] == second.scaler.get_scale() == 8.0
    assert second.scaler.state_dict() == saved["scaler"] != made(*options).scaler.state_dict()
    assert second.state == first.state
    assert second.optimizer.param_groups[0]["lr"] == first.optimizer.param_groups[0]["lr"] != 0.002
    moments = [trainer.optimizer.state_dict()["state"][0]["exp_avg"] for trainer in (first, second)]
    assert torch.equal(*moments)
    assert all(torch.equal(weight, second.model.state_dict()[name]) for name, weight in saved["model"].items())
