"""Firing rates against counts by hand, and normalised pixels against their formula."""

from contextlib import suppress

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gacsnn.data.loader import Normalise
from gacsnn.energy import firing_rates
from gacsnn.models import create_model
from gacsnn.neuron import LIF
from gacsnn.runtime.device import Machine


class Two(nn.Module):
    """A layer that no one calls, one that fires where the input exceeds 1, one fed with a part of its spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = LIF()
        self.second = LIF(threshold=0.5)
        self.first = LIF()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)[:, :, :1])


def test_rates_are_spikes_over_sites_of_all_calls() -> None:
    model = Two()
    with firing_rates(model) as rates:
        model(torch.tensor([[[2.0, 0.0, 2.0, 0.0]], [[0.0, 0.0, 2.0, 0.0]]]))  # 3 of 8, then 1 of 2
        model(torch.tensor([[[0.0]], [[2.0]]]))  # 1 of 2, then 1 of 2
    assert rates.by_layer() == {"first": 4 / 10, "second": 2 / 4}
    assert list(rates.by_layer()) == ["first", "second"]
    assert rates.mean() == 6 / 14
    assert rates.by_step() == {"first": [2 / 5, 2 / 5], "second": [1 / 2, 1 / 2]}


def test_nothing_is_counted_outside_the_context_even_after_an_error() -> None:
    model = Two()
    with firing_rates(model) as rates:
        pass
    with suppress(KeyboardInterrupt), firing_rates(model) as broken:
        model(torch.full((1, 1, 2), 2.0))
        raise KeyboardInterrupt
    before = broken.mean()
    model(torch.zeros(1, 1, 2))
    assert rates.mean() == 0
    assert rates.by_layer() == {}
    assert broken.mean() == before == 1
    assert not any(module._forward_hooks for module in model.modules())


def test_every_spiking_layer_of_a_network_is_counted() -> None:
    model = create_model("resnet8", T=3, num_classes=4, width=1 / 16).eval()
    with firing_rates(model) as rates:
        model(torch.randn(2, 3, 8, 8))
    assert next(iter(rates.by_layer())) == "encoder.lif"
    assert list(rates.by_layer())[-1] == "head.lif"
    assert len(rates.by_layer()) == 1 + 2 * 3 + 1
    assert rates.neuron_steps["encoder.lif"] == 3 * 2 * 4 * 8 * 8
    assert rates.neuron_steps["head.lif"] == 3 * 2 * 32 * 2 * 2
    assert all(0 <= rate <= 1 for rate in rates.by_layer().values())


shares = st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3)


@settings(max_examples=50, deadline=None)
@given(shares, shares, st.integers(0, 999), st.booleans())
def test_pixels_are_divided_by_255_less_the_mean_over_the_deviation(
    mean: list[float], std: list[float], seed: int, channels_last: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 4, 5), dtype=np.uint8)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    normalised = Normalise(mean, std, Machine(torch.device("cpu"), "fp32", layout, None))(torch.from_numpy(pixels))
    assert normalised.dtype == torch.float32
    assert normalised.is_contiguous(memory_format=layout)
    per_channel = [(pixels[:, c] / 255.0 - mean[c]) / std[c] for c in range(3)]
    np.testing.assert_allclose(normalised.numpy(), np.stack(per_channel, axis=1), atol=1e-5)
