"""Fast paths against the plain one: the same spikes, and gradients to rounding, for every shape, order of memory and neuron."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from blocks import BLOCKS, ORDERS, as_it_is, channels_last, near_in_bfloat16, passed, use
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gacsnn.batchnorm import BatchNorm2d
from gacsnn.benchmark.counted import saved_bytes
from gacsnn.kernels import cpu
from gacsnn.kernels.fused import Fused
from gacsnn.models import create_model
from gacsnn.neuron import LIF, NEURONS

FUSED = Fused(cpu)


@st.composite
def neurons(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "decay": draw(st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0])),
        "threshold": draw(st.sampled_from([0.3, 0.5, 1.0])),
        "surrogate": draw(st.sampled_from(["triangle", "rectangle"])),
        "surrogate_width": draw(st.sampled_from([0.5, 1.0, 3.0])),
        "detach_reset": draw(st.booleans()),
    }


@st.composite
def currents(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """A current in any order of memory, multiples of 1/8 among it, and a gradient of its spikes in another."""
    shape = [draw(st.integers(1, most)) for most in (9, 3, 20, 5, 5)]
    shape[1] -= draw(st.booleans())  # no image at all, perhaps
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    x = torch.randn(shape, generator=seed, dtype=torch.float64)
    eighths = torch.rand(shape, generator=seed) < 0.5
    x = torch.where(eighths, (8 * x).round() / 8, x)
    gradient = torch.randn(shape, generator=seed, dtype=torch.float64)
    return draw(st.sampled_from(ORDERS))(x), draw(st.sampled_from(ORDERS[:-1]))(gradient)


@settings(max_examples=300, deadline=None)
@given(currents(), neurons())
def test_spikes_are_the_same_and_gradients_too(given: tuple[Tensor, Tensor], neuron: dict[str, Any]) -> None:
    current, gradient = given
    found = []
    for kernels in (None, FUSED):
        lif, x = LIF(**neuron), current.detach().requires_grad_()
        lif.kernels = kernels
        spikes = lif(x)
        spikes.backward(gradient)
        assert x.grad is not None
        found.append((spikes.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-12, atol=1e-12)


def test_the_membrane_potential_is_rounded_once_as_torch_does() -> None:
    """A threshold between what one and two roundings give: at one of them the neuron fires, at the other it does not."""
    torch.manual_seed(0)
    x = torch.rand(2, 4096, dtype=torch.float64) / 2
    once, twice = torch.add(x[1], x[0], alpha=0.7), x[1] + 0.7 * x[0]
    apart = (once != twice) & (torch.minimum(once, twice) > x[0])
    if not apart.any():
        pytest.skip("this machine multiplies and adds in two roundings")
    for i in apart.nonzero().flatten()[:10]:
        lif = LIF(decay=0.7, threshold=min(once[i].item(), twice[i].item()))
        assert cpu.lif(x[:, i].view(2, 1, 1, 1, 1), lif)[1].item() == (once[i] > twice[i])


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("order", [as_it_is, channels_last])
@pytest.mark.parametrize("training", [True, False])
def test_a_block_is_the_same(kind: str, neuron: str, order: Callable[[Tensor], Tensor], training: bool) -> None:
    torch.manual_seed(1)
    plain = BLOCKS[kind](neuron=partial(LIF, **NEURONS[neuron])).double()
    for bn in (plain.bn1, plain.bn2):
        nn.init.normal_(bn.weight, 1, 0.3)
        nn.init.normal_(bn.bias, 0, 0.3)
    plain.train(training)
    fast = copy.deepcopy(plain)
    use(fast, FUSED)
    inputs = plain.conv1.in_channels
    x, g = 3 * torch.randn(4, 3, inputs, 7, 6).double(), torch.randn(4, 3, plain.conv2.out_channels, 7, 6).double()
    expected, found = passed(plain, order(x), g), passed(fast, order(x), order(g))
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=name)
    with torch.no_grad():
        expected, found = passed(plain, order(x), g), passed(fast, order(x), g)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=name)


def test_a_block_whose_layers_are_listened_to_is_the_same() -> None:
    torch.manual_seed(1)
    fast = BLOCKS["smaller"](neuron=LIF).double()
    use(fast, FUSED)
    x, g = torch.randn(4, 2, 12, 6, 6).double(), torch.randn(4, 2, 20, 6, 6).double()
    heard = copy.deepcopy(fast)
    seen: dict[str, Tensor] = {}
    for name in ("lif1", "lif2", "conv1", "conv2"):
        heard.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output.detach()})
        )
    expected, found = passed(fast, x, g), passed(heard, x, g)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12, msg=name)
    assert list(seen) == ["lif1", "conv1", "lif2", "conv2"]
    assert seen["lif1"].unique().tolist() == [0, 1]


def test_a_network_in_float32_is_the_same_but_for_rounding() -> None:
    """What it keeps and sums up in another order may differ by rounding, where no spike does."""
    torch.manual_seed(0)
    plain = create_model("resnet8", T=4, num_classes=5, width=0.25)
    images, g = torch.randn(6, 3, 16, 16), torch.randn(6, 4, 5)
    fast = copy.deepcopy(plain)
    fast.use(FUSED)
    results = []
    for model in (plain, fast):
        logits = model(images)
        logits.backward(g)
        results.append((logits, model))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-5, atol=1e-5)
    for (name, one), two in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        assert (one.grad - two.grad).abs().max() <= 2e-5 * one.grad.abs().max(), name


def test_a_block_in_bfloat16_is_as_near_as_bfloat16_can_be() -> None:
    near_in_bfloat16(FUSED)


def test_sums_and_so_results_are_the_same_on_any_number_of_threads() -> None:
    torch.manual_seed(0)
    before, found = torch.get_num_threads(), []
    x, g = torch.randn(2, 3, 16, 64, 16, 16)
    norm = cpu.norm(cpu.statistics(x), x.numel() / 64, BatchNorm2d(64))
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            backward = cpu.lif_backward(x, LIF(), g, norm=norm)
            found.append((cpu.statistics(x), cpu.sums(x, norm, g), cpu.lif(x, LIF(), norm), *backward))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for each in found[1:] for one, other in zip(found[0], each, strict=True))


def test_statistics_lose_no_digits_where_the_mean_is_large() -> None:
    x = 1000 + torch.randn(4, 8, 6, 9, 9)
    ours, theirs = BatchNorm2d(6), nn.BatchNorm2d(6).double()
    expected = theirs(x.double().flatten(0, 1))
    found = FUSED.bn_add(x, ours, None).flatten(0, 1)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3)  # of 1000, float32 keeps 6e-5
    torch.testing.assert_close(ours.running_var, theirs.running_var.float(), rtol=1e-4, atol=0)


def test_one_value_a_channel_has_no_variance() -> None:
    with pytest.raises(ValueError, match="more than 1 value a channel"):
        FUSED.bn_add(torch.zeros(1, 1, 3, 1, 1), BatchNorm2d(3), None)


def test_less_is_kept_for_the_backward_pass() -> None:
    """Of what today's plain path keeps; what the released programs do is counted by task=benchmark."""
    torch.manual_seed(0)
    model, images, kept = create_model("resnet18", T=4, num_classes=10, width=0.25), torch.randn(2, 3, 32, 32), []
    for kernels in (None, FUSED):
        model.use(kernels)
        kept.append(saved_bytes(model, images, model))
    plain, fused = kept
    assert fused < 0.62 * plain


def test_there_are_no_second_derivatives_and_it_says_so() -> None:
    block = BLOCKS["identity"](neuron=LIF).double()
    use(block, FUSED)
    x = torch.randn(2, 2, 12, 5, 5, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(block(x).square().sum(), block.conv1.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.square().sum().backward()


def test_a_layer_set_to_evaluation_before_the_backward_pass_has_the_gradients_of_its_forward_pass() -> None:
    torch.manual_seed(0)
    block = BLOCKS["wider"](neuron=LIF).double()
    use(block, FUSED)
    x = torch.randn(2, 2, 5, 5, 5, dtype=torch.float64)
    found = []
    for change in (lambda: None, block.eval):
        block.train()
        block.zero_grad()
        y = block(x)
        change()
        y.sum().backward()
        found.append([p.grad for p in block.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_parameters_that_the_kernels_would_misread_are_refused() -> None:
    x = torch.randn(2, 2, 4, 3, 3, dtype=torch.bfloat16)
    with pytest.raises(TypeError, match=r"should be float32 or float64, all of them, not torch\.bfloat16"):
        FUSED.bn_add(x, BatchNorm2d(4).bfloat16(), None)


def test_a_type_that_only_autocast_has_is_not_served() -> None:
    x = torch.zeros(1)
    assert FUSED.serves(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert FUSED.serves(x)
    with torch.autocast("cpu", torch.float16):
        assert not FUSED.serves(x)


def test_a_network_with_kernels_can_be_pickled() -> None:
    model = create_model("resnet8", T=2, num_classes=3, width=0.1)
    model.use(FUSED)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(pickle.loads(pickle.dumps(model))(images), model(images))


def test_what_is_no_number_stays_none() -> None:
    x = torch.randn(2, 2, 3, 4, 4)
    x[0, 0, 1] = float("nan")
    bn = BatchNorm2d(3)
    FUSED.bn_add(x, bn, None)
    assert bn.running_mean is not None
    assert bn.running_var is not None
    assert bn.running_mean.isnan().tolist() == bn.running_var.isnan().tolist() == [False, True, False]


def test_a_graph_that_is_kept_is_gone_through_twice_in_parts_too() -> None:
    block = BLOCKS["identity"](neuron=LIF).double()
    block.parts = 2
    loss = block(torch.randn(2, 4, 12, 4, 4, dtype=torch.float64)).sum()
    loss.backward(retain_graph=True)
    once = block.conv1.weight.grad
    assert once is not None
    once = once.clone()
    loss.backward()
    torch.testing.assert_close(block.conv1.weight.grad, 2 * once)


class Copied(TorchDispatchMode):
    """The shapes of activations that were copied."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[torch.Size] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("clone", "copy_", "_to_copy") and args[0].dim() == 5:
            self.shapes.append(args[0].shape)
        return func(*args, **(kwargs or {}))


def test_activations_keep_one_order_of_memory_all_the_way() -> None:
    model = create_model("resnet8", T=3, num_classes=5, width=0.25).to(memory_format=torch.channels_last)
    model.use(FUSED)
    images = torch.rand(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    with Copied() as copied:
        model(images).sum().backward()
    assert copied.shapes == [(3, 2, 128, 4, 4)]  # the gradient that the head's mean gives
