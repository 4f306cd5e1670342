"""SpikingJelly's neurons with our constants, where it is installed: `pip install -e '.[benchmark]'`."""

import pytest
import torch

from gacsnn.neuron import LIF, NEURONS

pytest.importorskip("spikingjelly", reason="SpikingJelly is optional")

from gacsnn.benchmark.jelly import JellyLIF


@pytest.mark.parametrize("neuron", NEURONS)
def test_its_neurons_compute_the_same(neuron: str) -> None:
    torch.manual_seed(0)
    lif = LIF(**NEURONS[neuron])
    found = []
    values, g = torch.randn(2, 5, 2, 3, 4, 4, dtype=torch.float64)
    for module in (lif, JellyLIF(lif)):
        x = values.clone().requires_grad_()
        spikes = module(x)
        spikes.backward(g)
        found.append((spikes.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[1][1], found[0][1])
