"""What a config is made into before anything runs."""

import pytest
import torch
from program import TINY, config

from gacsnn.encoders import ENCODERS, latency_code
from gacsnn.tasks.experiment import prepare


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_codes_see_plain_pixels_and_the_others_normalised_ones(name: str) -> None:
    prepared = prepare(config(f"encoder={name}", *TINY))
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, -1, -1)
    seen = prepared.normalise(images)
    if name in ("gac", "direct"):
        assert seen.min() < 0
        return
    torch.testing.assert_close(seen, images / 255)
    assert seen.min() == 0
    assert seen.max() == 1
    assert (prepared.model.encoder.coding.T, prepared.model.T) == (2, 2)


def test_the_curve_of_the_latency_code_comes_from_the_command_line() -> None:
    for curve in ("linear", "log"):
        model = prepare(config("encoder=latency", f"encoder.curve={curve}", *TINY)).model
        x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(model.encoder.coding(x), latency_code(x, 2, curve))


def test_the_runs_seed_is_that_of_its_weights_and_of_its_order() -> None:
    def begun(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        prepared = prepare(config(*TINY, f"seed={seed}"))
        with prepared.loader(prepared.splits.train, shuffle=True) as loader:
            labels = torch.cat([labels for _, labels, _ in loader])
        return prepared.model.head.linear.weight.detach(), labels

    first, again, other = begun(1), begun(1), begun(2)
    for one, same, another in zip(first, again, other, strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, another)
