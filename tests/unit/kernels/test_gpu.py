"""The GPU's kernels against the CPU's in float64, and against the plain path.

On a GPU: `pytest -m gpu tests/unit/kernels/test_gpu.py`. `test_gpu_interpreted.py` runs the same by Triton's interpreter.

Where spikes are compared in every type, currents are multiples of 1/8 and the constants are powers of two: h is exact, with fused
multiply-adds or without. Each gradient is then computed in float32 (of float16 and bfloat16, too) and rounded once.
"""

import copy
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from blocks import BLOCKS, ORDERS, as_it_is, channels_last, near_in_bfloat16, passed, use
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gacsnn import create_model
from gacsnn.batchnorm import BatchNorm2d
from gacsnn.kernels import cpu
from gacsnn.kernels.fused import Fused, gradient, normalised
from gacsnn.kernels.layout import dense, like
from gacsnn.neuron import LIF, NEURONS

gpu = pytest.importorskip("gacsnn.kernels.gpu", reason="torch has Triton where it has CUDA")

pytestmark = pytest.mark.gpu

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
EXAMPLES = int(os.environ.get("GACSNN_TEST_EXAMPLES", "200"))

# Half of what the last digit counts: the most that rounding once takes of a number. The interpreter cuts float32 off where a GPU
# rounds it to bfloat16.
ROUNDING = {dtype: torch.finfo(dtype).eps / 2 for dtype in gpu.TYPES}
if INTERPRETED:
    ROUNDING[torch.bfloat16] *= 2

# Of float32's own sums and products, over at most 12 steps and some hundred values of a thread, of numbers of the size of the
# largest.
COMPUTED = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 1e-5, torch.float16: 1e-5}


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gpu, "DEVICE", DEVICE)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False):
        yield


# Small tiles, and the most images, channels and places of a tensor. A GPU has no fewer elements in a tile than threads in a
# program: what is written over in place would be read by another thread.
TINY, SHAPE = ((64, 4, 3), (3, 9, 4, 5)) if INTERPRETED else ((1024, 4, 3), (8, 9, 12, 20))


@pytest.fixture(params=[(1024, 64, 1024), TINY], ids=["whole", "tiny"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are, and so small that a program has many, and a tensor many programs."""
    for name, value in zip(("TILE", "WIDTH", "PROGRAMS"), request.param, strict=True):
        monkeypatch.setattr(gpu, name, value)


def near(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """Found is what was expected, computed in a type's own way and rounded to it once."""
    most = COMPUTED[dtype] * (1 + expected.abs().max().item()) if expected.numel() else 0
    torch.testing.assert_close(found.cpu().double(), expected, rtol=1.01 * ROUNDING[dtype], atol=most)


@st.composite
def neurons(draw: st.DrawFn) -> LIF:
    return LIF(
        draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        draw(st.sampled_from([0.25, 0.5, 1.0])),
        draw(st.sampled_from(["triangle", "rectangle"])),
        draw(st.sampled_from([0.5, 1.0, 3.0])),
        draw(st.booleans()),
    )


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A current, gradients of its spikes and of itself, each in some order of memory; and a norm. Of eighths, in float64."""
    shape = [draw(st.integers(1, most)) for most in (12, *SHAPE)]
    shape[1] -= draw(st.integers(0, 9)) == 0  # no image at all, perhaps
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    each = [torch.randint(-16, 17, shape, generator=seed).double() / 8 for _ in range(3)]
    orders = (draw(st.sampled_from(ORDERS)), *(draw(st.sampled_from(ORDERS[:-1])) for _ in range(2)))
    x, g, more = (order(one) for order, one in zip(orders, each, strict=True))
    norm = torch.randint(-4, 5, (4, shape[2]), generator=seed).double() / 4
    norm[2] = 2.0 ** torch.randint(-1, 2, (shape[2],), generator=seed)
    return x, g, more, norm


def there(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Of the type and on the device, in the same order."""
    if x.dim() == 5 and len(x) > 1 and x.stride(0) == 0:
        return there(x[:1], dtype).expand(x.shape)
    return torch.empty_strided(x.shape, x.stride(), dtype=dtype, device=DEVICE).copy_(x)


def norm_there(norm: Tensor, dtype: torch.dtype) -> Tensor:
    return norm.to(DEVICE, torch.promote_types(dtype, torch.float32))


given_all = given(tensors(), neurons(), st.sampled_from(list(gpu.TYPES)), st.booleans())
enough = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@enough
@given_all
def test_spikes_are_the_same(
    tiles: None, given: tuple[Tensor, ...], neuron: LIF, dtype: torch.dtype, normed: bool
) -> None:
    x, _, _, norm = given
    found = gpu.lif(there(x, dtype), neuron, norm_there(norm, dtype) if normed else None)
    assert found.dtype == dtype
    assert torch.equal(found.cpu().double(), cpu.lif(x, neuron, norm if normed else None))


@enough
@given_all
def test_gradients_are_the_same_to_rounding(
    tiles: None, given: tuple[Tensor, ...], neuron: LIF, dtype: torch.dtype, normed: bool
) -> None:
    x, g, more, norm = given
    of_norm = (None, norm)[normed]
    of_norm_there = norm_there(norm, dtype) if normed else None
    for added in (None, more):
        expected, sums = cpu.lif_backward(x, neuron, g, added, of_norm)
        of_spikes = there(g, dtype)
        before = of_spikes.clone()
        arguments = there(x, dtype), neuron, of_spikes, None if added is None else there(added, dtype), of_norm_there
        found, found_sums = gpu.lif_backward(*arguments)
        assert found.dtype == dtype
        assert torch.equal(of_spikes, before)
        near(found, expected, dtype)
        assert (found_sums is None) == (sums is None)
        if sums is not None:
            near(found_sums, sums, torch.float64 if dtype == torch.float64 else torch.float32)
        walked = dense(arguments[0])[0] if x.numel() else arguments[0]
        spikes = like(walked)
        over, _ = gpu.lif_backward(walked, *arguments[1:], own=True, spikes=spikes)
        assert torch.equal(over, found)
        assert torch.equal(spikes, gpu.lif(arguments[0], neuron, of_norm_there))


@enough
@given_all
def test_batch_norm_is_the_same_to_rounding(
    tiles: None, given: tuple[Tensor, ...], neuron: LIF, dtype: torch.dtype, normed: bool
) -> None:
    x, g, more, norm = given
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    at, of_norm = there(x, dtype), norm_there(norm, dtype)
    near(normalised(at, of_norm, None, gpu), normalised(x, norm, None, cpu), dtype)
    near(normalised(at, of_norm, there(more, dtype), gpu), normalised(x, norm, more, cpu), dtype)
    sums = cpu.sums(x, norm, g)
    near(gpu.sums(at, of_norm, there(g, dtype)), sums, exact)
    made = norm[:2] / 8
    near(gradient(at, of_norm, made.to(of_norm), there(g, dtype), gpu), gradient(x, norm, made, g, cpu), dtype)
    if x.numel():
        near(gpu.statistics(at), cpu.statistics(x), exact)


@enough
@given_all
def test_the_gate_is_the_same_to_rounding(
    tiles: None, given: tuple[Tensor, ...], neuron: LIF, dtype: torch.dtype, normed: bool
) -> None:
    x, g, more, _ = (each[:8] for each in given)
    current, spatial = x[0].detach().requires_grad_(), more[0].detach().requires_grad_()
    temporal = (torch.arange(g.shape[0] * g.shape[1]).reshape(g.shape[:2]).double() / 8 - 1).requires_grad_()
    y = torch.sigmoid(temporal[..., None, None, None] * spatial) * neuron(current.expand(g.shape))
    y.backward(g)
    given_there = (there(current.detach(), dtype), there(spatial.detach(), dtype), temporal.detach().to(DEVICE, dtype))
    near(gpu.gate(*given_there, neuron), y.detach(), dtype)
    made = gpu.gate_backward(*given_there, neuron, there(g, dtype))
    for found, one in zip(made, (current, spatial, temporal), strict=True):
        assert found.dtype == dtype
        assert one.grad is not None
        near(found, one.grad, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 130])
def test_norms_and_their_gradients_are_the_same(dtype: torch.dtype, channels: int) -> None:
    torch.manual_seed(0)
    bn = BatchNorm2d(channels, repeats=3)
    bn.momentum = 0.3
    for values in (bn.weight, bn.bias, bn.running_mean):
        assert values is not None
        nn.init.normal_(values)
    bn = bn.to(dtype)
    found = torch.rand(2, channels, dtype=torch.float64)
    sums, everywhere = torch.randn(2, 2, channels, dtype=torch.float64)
    for count in (0, 7, torch.tensor(7.0, dtype=torch.float64)):
        ours, theirs = copy.deepcopy(bn).to(DEVICE), copy.deepcopy(bn)
        on_device = count.to(DEVICE) if isinstance(count, Tensor) else count
        here = found if count else None
        expected = cpu.norm(here, count, theirs, update=bool(count))
        made = gpu.norm(None if here is None else here.to(DEVICE), on_device, ours, update=bool(count))
        near(made, expected, dtype)
        for name, value in theirs.named_buffers():
            near(ours.get_buffer(name), value.double(), dtype)
        assert ours.num_batches_tracked == bool(count)
        of_x, *of_parameters = cpu.gradients(sums, everywhere, expected, count, theirs)
        found_of_x, *found_of_parameters = gpu.gradients(sums.to(DEVICE), everywhere.to(DEVICE), made, on_device, ours)
        near(found_of_x, of_x, dtype)
        for one, other in zip(found_of_parameters, of_parameters, strict=True):
            assert one.dtype == dtype
            near(one, other.double(), dtype)


@pytest.mark.parametrize("T", [4, 12])
def test_constants_are_those_of_float64(tiles: None, T: int) -> None:
    torch.manual_seed(0)
    x, g = torch.randn(2, T, 2, 5, 3, 3, dtype=torch.float64)
    norm, neuron = torch.rand(4, 5, dtype=torch.float64), LIF(decay=0.7, threshold=0.3, surrogate_width=0.9)
    assert torch.equal(gpu.lif(x.to(DEVICE), neuron).cpu(), cpu.lif(x, neuron))
    expected = cpu.lif_backward(x, neuron, g, None, norm)
    found = gpu.lif_backward(x.to(DEVICE), neuron, g.to(DEVICE), None, norm.to(DEVICE))
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        near(one, other, torch.float64)


def test_statistics_lose_no_digits_where_the_mean_is_large(tiles: None) -> None:
    torch.manual_seed(0)
    x = 1000 + torch.randn(4, 8, 6, 5, 5)
    for order in (as_it_is, channels_last):
        found = gpu.statistics(order(x).to(DEVICE)).cpu()
        torch.testing.assert_close(found, cpu.statistics(x.double()), rtol=1e-5, atol=0)


@pytest.mark.parametrize("order", [as_it_is, channels_last])
def test_what_32_bits_cannot_count_is_counted_in_64(order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, norm = order(torch.randn(3, 2, 5, 3, 3)).to(DEVICE), torch.rand(4, 5).to(DEVICE)
    results = []
    for wide in (False, True):
        monkeypatch.setattr(gpu, "is_wide", lambda _, wide=wide: wide)
        back, sums = gpu.lif_backward(x, LIF(), x, x, norm)
        gated = gpu.gate_backward(x[0], x[1], x[:, :, 0, 0, 0], LIF(), x)
        gated = (*gated, gpu.gate(x[0], x[1], x[:, :, 0, 0, 0], LIF()))
        results.append((gpu.lif(x, LIF()), normalised(x, norm, x, gpu), gpu.sums(x, norm, x), back, sums, *gated))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def potentials(block: nn.Module, x: Tensor) -> Tensor:
    """h of all that fires in a block."""
    found: list[Tensor] = []

    def listen(lif: Any, inputs: tuple[Tensor, ...]) -> None:
        v = torch.zeros_like(inputs[0][0])
        for current in inputs[0].detach():
            h = lif.decay * v + current
            found.append((h - lif.threshold).flatten())
            v = h.masked_fill(h > lif.threshold, 0)

    handles = [module.register_forward_pre_hook(listen) for module in block.modules() if isinstance(module, LIF)]
    block(x)
    for handle in handles:
        handle.remove()
    return torch.cat(found)


@pytest.mark.parametrize("order", [as_it_is, channels_last])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("kind", "neuron", "T"), [("identity", "cifar", 4), ("smaller", "imagenet", 9), ("max pool", "paper", 2)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_a_block_is_the_same(kind: str, neuron: str, T: int, order: Any, training: bool, dtype: torch.dtype) -> None:
    """In float32 to rounding, of a block none of whose neurons is so near its threshold that rounding may make it fire."""
    margin, tolerance = (1e-9, 1e-9) if dtype == torch.float64 else (1e-5, 2e-5)
    for seed in range(100):
        torch.manual_seed(seed)
        plain = BLOCKS[kind](neuron=partial(LIF, **NEURONS[neuron])).double().train(training)
        for bn in (plain.bn1, plain.bn2):
            nn.init.normal_(bn.weight, 1, 0.3)
            nn.init.normal_(bn.bias, 0, 0.3)
        x = order(3 * torch.randn(T, 2, plain.conv1.in_channels, 5, 4).double().float().double())
        if potentials(copy.deepcopy(plain.to(dtype).double()), x).abs().min() > margin:
            break
    else:
        pytest.fail("each block has a neuron at its threshold")
    g = torch.randn(T, 2, plain.conv2.out_channels, 5, 4).double()
    fast = copy.deepcopy(plain).to(DEVICE, dtype)
    use(fast, Fused(gpu))
    expected = passed(plain, x, g)
    found = passed(fast, x.to(DEVICE, dtype), g.to(DEVICE, dtype))
    assert set(found) == set(expected)
    for name, value in expected.items():
        apart = (found[name].cpu().double() - value).abs().max()
        assert apart <= tolerance * (1 + value.abs().max()), name


def test_a_block_in_bfloat16_is_as_near_as_bfloat16_can_be() -> None:
    near_in_bfloat16(Fused(gpu), DEVICE, ROUNDING[torch.bfloat16])


@pytest.mark.parametrize("gate", ["stem", "image"])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_network_is_the_same(gate: str, order: torch.memory_format) -> None:
    torch.manual_seed(0)
    options = {"T": 3, "num_classes": 5, "width": 0.1, "encoder_options": {"gate": gate}}
    plain = create_model("resnet8", **options).double().train()
    images = torch.randn(3, 3, 8, 8).double().contiguous(memory_format=order)
    fast = copy.deepcopy(plain).to(DEVICE).to(memory_format=order)
    fast.use(Fused(gpu))
    expected, found = plain(images), fast(images.to(DEVICE))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-9, atol=1e-9)
    expected.square().sum().backward()
    found.square().sum().backward()
    for one, other in zip(fast.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad.cpu(), other.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(fast.eval()(images.to(DEVICE)).cpu(), plain.eval()(images), rtol=1e-9, atol=1e-9)


def test_sums_are_the_same_each_time() -> None:
    torch.manual_seed(0)
    shape = (3, 4, 5, 4, 4) if INTERPRETED else (4, 64, 96, 32, 32)
    for order in (as_it_is, channels_last):
        x, norm = order(torch.randn(shape)).to(DEVICE), torch.rand(4, shape[2]).to(DEVICE)
        results = [(gpu.statistics(x), gpu.sums(x, norm, x), *gpu.lif_backward(x, LIF(), x, x, norm)) for _ in range(3)]
        for each in results[1:]:
            assert all(torch.equal(one, other) for one, other in zip(results[0], each, strict=True))


@pytest.mark.skipif(INTERPRETED, reason="there is nothing to wait for")
@pytest.mark.parametrize("training", [True, False])
def test_nothing_waits_for_the_gpu(training: bool) -> None:
    block = BLOCKS["smaller"](neuron=LIF).to(DEVICE).train(training)
    use(block, Fused(gpu))
    x, g = torch.randn(4, 2, 12, 6, 6, device=DEVICE), torch.randn(4, 2, 20, 6, 6, device=DEVICE)
    passed(block, x, g)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        passed(block, x, g)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(INTERPRETED, reason="it asks for a GPU")
def test_they_are_chosen_for_a_gpu() -> None:
    from gacsnn.kernels.choice import fused

    assert fused("cuda", torch.bfloat16).serves(torch.zeros(1, device=DEVICE, dtype=torch.bfloat16))
