"""CUDA graphs where there is no GPU: what is refused, what is done without, what is handed to them. On one: `test_on_gpu.py`."""

from dataclasses import replace

import pytest
import torch
from networks import random_images
from program import TINY, config
from torch import Tensor

from gacsnn import draws
from gacsnn.errors import InputError
from gacsnn.runtime.device import Machine
from gacsnn.tasks.experiment import prepare
from gacsnn.training.graphs import Graphs, Pass, captured, check, unserved
from gacsnn.training.trainer import Trainer, capture, logits_of

ON_GPU = Machine(torch.device("cuda"), "fp32", torch.contiguous_format, None)
OPTIONS = config(*TINY).hardware


def test_they_are_for_one_process_on_a_gpu_whose_blocks_take_a_batch_at_once() -> None:
    assert unserved("cuda", 1, OPTIONS) is None
    assert unserved("cpu", 1, OPTIONS) == "there is no GPU"
    assert unserved("cuda", 2, OPTIONS) == "several processes train together"
    parts = OPTIONS.model_copy(update={"accumulate": 2})
    assert unserved("cuda", 1, parts) == "hardware.accumulate takes batches in parts"


def test_who_asks_for_them_by_name_hears_why_there_are_none() -> None:
    machine, asked = replace(ON_GPU, device=torch.device("cpu")), OPTIONS.model_copy(update={"cuda_graphs": True})
    check("cpu", 1, OPTIONS)
    assert captured(torch.nn.Identity(), machine, OPTIONS, (4, 8, 8), 0) is None
    for refuse in (
        lambda: check("cpu", 1, asked),
        lambda: captured(torch.nn.Identity(), machine, asked, (4, 8, 8), 0),
    ):
        with pytest.raises(
            InputError, match=r"hardware\.cuda_graphs=true: there is no GPU; hardware\.cuda_graphs=auto"
        ):
            refuse()


def test_what_is_not_captured_is_said_once_on_a_gpu(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert captured(torch.nn.Identity(), ON_GPU, OPTIONS, (4, 8, 8), 0, parts=2) is None
    assert "hardware.cuda_graphs=auto: none, because a batch is taken in parts" in caplog.text


def test_who_asks_for_them_hears_that_an_epoch_has_no_full_batch() -> None:
    prepared = prepare(config(*TINY, "batch_size=100"))
    options = prepared.config.hardware.model_copy(update={"cuda_graphs": True})
    asked = prepared.config.model_copy(update={"hardware": options})
    trainer = Trainer(prepared.model, asked, prepared.machine, prepared.normalise, 64)
    with pytest.raises(InputError, match="an epoch has less than one batch"):
        capture(trainer, (8, 8), 1)


@pytest.mark.parametrize("encoder", ["gac", "poisson"])
def test_a_trainer_hands_full_batches_to_them_with_their_keys(encoder: str) -> None:
    prepared = prepare(config(*TINY, "batch_size=4", f"encoder={encoder}"))
    trainer = Trainer(prepared.model, prepared.config, prepared.machine, prepared.normalise, 64)
    whole, keys = Pass(prepared.model.eval(), prepared.machine), torch.arange(4)
    images, asked = random_images(4, 3, 8, 8).float().abs().clamp(0, 1), []

    def run(*arguments: Tensor) -> Tensor:
        asked.append(len(arguments[0]))
        return whole(*arguments)

    trainer.graphs = Graphs(images.shape, run)
    with torch.no_grad(), draws.keyed(keys):
        assert torch.equal(logits_of(trainer, images, keys), prepared.model(images))
    logits_of(trainer, images[:3], keys[:3])
    assert asked == [4]
