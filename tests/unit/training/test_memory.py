"""The memory of a step, and the parts of a batch that fit into it."""

from pathlib import Path

import pytest
import torch
from program import TINY, Launch, config, read_metrics, read_result

from gacsnn.runtime.device import free_memory
from gacsnn.tasks.experiment import Experiment, prepare
from gacsnn.training import memory
from gacsnn.training.memory import Peak, peak_of, step_memory

OPTIONS = (*TINY, "batch_size=32", "optimizer=sgd", "hardware.threads=1", "model.width=0.2")


def test_the_peak_is_of_what_lives_at_once() -> None:
    with Peak() as counted:
        kept = torch.zeros(1000)
        for _ in range(3):
            torch.zeros(500)
        view = kept.view(10, 100)
    assert (counted.peak, counted.live) == (6000, 4000)
    del view, kept
    assert counted.live == 0


def prepared(*options: str) -> Experiment:
    return prepare(config(*OPTIONS, *options))


def needed(made: Experiment, parts: int) -> int:
    return step_memory(made.model, made.config, made.normalise, made.machine, made.image_size(), parts)


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("encoder", ["gac", "poisson"])
def test_small_batches_tell_what_a_large_one_takes(encoder: str, parts: int) -> None:
    made = prepared(f"encoder={encoder}")
    told, before = needed(made, parts), {name: t.clone() for name, t in made.model.state_dict().items()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.model.state_dict().items())
    moments = sum(4 * p.numel() for p in made.model.parameters())
    made.model.train().accumulate(parts)
    real = peak_of(made.model, made.normalise, made.machine, made.image_size(), 32) + moments
    assert 0.98 * real < told < 1.1 * real


# Where fused kernels keep little within a block, parts save what is kept of many.
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("hardware.kernels=plain",), marks=pytest.mark.slow),
        ("hardware.kernels=fused", "model=resnet18"),
    ],
)
def test_the_fewest_parts_that_fit_are_taken_and_the_step_is_the_same(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    made = prepared(*options)
    one, two = needed(made, 1), needed(made, 2)
    assert two < 0.9 * one
    for free, parts in ((2 * one, 1), ((one + two) / 2, 2)):
        monkeypatch.setattr(memory, "free_memory", lambda _device, free=free: free / memory.USABLE)
        code, out, err = launch(*OPTIONS, *options, "hardware.accumulate=auto", f"output_dir=auto-{parts}")
        assert code == 0, err
        assert f"hardware.accumulate=auto: {parts} of " in out
        assert launch(*OPTIONS, *options, f"hardware.accumulate={parts}", f"output_dir=given-{parts}").code == 0
        auto, given = tmp_path / f"auto-{parts}", tmp_path / f"given-{parts}"
        assert read_metrics(auto) == read_metrics(given)
        assert read_result(auto)["config_hash"] == read_result(given)["config_hash"]


def test_a_batch_that_fits_in_no_number_of_parts_is_refused(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _device: 1000)
    code, _out, err = launch(*OPTIONS, "hardware.accumulate=auto")
    assert code == 2
    assert err.startswith("error: batch_size=32: a step takes ")
    assert err.count("\n") == 1


def test_the_free_memory_of_this_machine_is_some() -> None:
    assert 2**20 < free_memory(torch.device("cpu")) < 2**50
