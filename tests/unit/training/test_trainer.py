"""One step of training."""

import pytest
import torch
from networks import random_images
from program import TINY, config

from gacsnn.data.mixing import Draw
from gacsnn.training import trainer as trainer_module
from gacsnn.training.trainer import Trainer


@pytest.mark.parametrize(("every", "draws"), [("batch", 4), ("epoch", 0)])
def test_a_box_is_drawn_once_a_batch_or_left_alone_for_the_epoch(
    every: str, draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gacsnn.tasks.experiment import prepare

    prepared = prepare(config(*TINY, "batch_size=4", "augmentation=cutmix", f"augmentation.drawn_every={every}"))
    trainer = Trainer(prepared.model, prepared.config, prepared.machine, prepared.normalise, 64)
    trainer.drawn = Draw("cutmix", 0.5, 0.5, 0.5)
    pixels = (random_images(4, 3, 8, 8) * 40 + 100).clamp(0, 255).to(torch.uint8)
    count = []
    monkeypatch.setattr(trainer_module, "draw", lambda _augmentation: count.append(1) or Draw())
    for _ in range(4):
        trainer.step(pixels, torch.arange(4), torch.arange(4))
    assert len(count) == draws
    assert trainer.drawn == (Draw() if draws else Draw("cutmix", 0.5, 0.5, 0.5))
