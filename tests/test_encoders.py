"""The encoders against SPEC section 2, recomputed naively: stem, TA and SCA at every one of the T steps."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gacsnn.encoders import GAC, Direct, RepeatedBatchNorm2d, SpatialChannelAttention, TemporalAttention
from gacsnn.neuron import LIF

CHANNELS = 4


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


def randomise(module: nn.Module, seed: int) -> None:
    """Weights far from their start, so that no term of the formulae is near nothing."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.1, 0.5, generator)


def stem(T: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False), RepeatedBatchNorm2d(CHANNELS, T))


def random_images(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def same(x: Tensor, weight: Tensor) -> Tensor:
    """A 4x4 convolution with one row and column of zeros before and two after, as sums over shifted images."""
    height, width = x.shape[-2:]
    padded = x.new_zeros(*x.shape[:-2], height + 3, width + 3)
    padded[..., 1 : height + 1, 1 : width + 1] = x
    return sum(
        torch.einsum("nchw,oc->nohw", padded[..., i : i + height, j : j + width], weight[:, :, i, j])
        for i in range(4)
        for j in range(4)
    )  # type: ignore[return-value]


class Naive(nn.Module):
    """The released program's encoder: the image is repeated, and everything is computed T times on [B, T, ...]."""

    def __init__(self, encoder: GAC) -> None:
        super().__init__()
        self.T = encoder.T
        conv, norm = copy.deepcopy(encoder.stem)
        self.conv, self.bn = conv, nn.BatchNorm2d(CHANNELS).double()
        self.bn.load_state_dict(norm.state_dict())
        down, _, up = encoder.temporal.mlp
        self.down = nn.Parameter(down.weight.detach()[:, :, None, None, None].clone())
        self.up = nn.Parameter(up.weight.detach()[:, :, None, None, None].clone())
        self.first = nn.Parameter(encoder.spatial_channel.conv1.weight.detach().clone())
        self.second = nn.Parameter(encoder.spatial_channel.conv2.weight.detach().clone())
        self.lif = encoder.lif

    def forward(self, images: Tensor) -> Tensor:
        x = images[:, None].repeat(1, self.T, 1, 1, 1)
        c = self.bn(self.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
        pools = c.mean((2, 3, 4), keepdim=True), c.amax((2, 3, 4), keepdim=True)
        ta = sum(F.conv3d(F.relu(F.conv3d(pool, self.down)), self.up) for pool in pools)
        hidden = F.relu(same(c.flatten(0, 1), self.first))
        sca = same(hidden, self.second).unflatten(0, x.shape[:2])
        spikes = self.lif(c.transpose(0, 1)).transpose(0, 1)
        return torch.sigmoid(ta * sca) * spikes

    def gradients(self) -> list[Tensor | None]:
        weights = [self.conv.weight, self.bn.weight, self.bn.bias, self.down, self.up, self.first, self.second]
        return [weight.grad for weight in weights]


def gradients(encoder: GAC) -> list[Tensor | None]:
    (conv, bn), (down, _, up), sca = encoder.stem, encoder.temporal.mlp, encoder.spatial_channel
    grads = [layer.grad for layer in (conv.weight, bn.weight, bn.bias)]
    grads += [weight.grad[:, :, None, None, None] for weight in (down.weight, up.weight)]
    return [*grads, sca.conv1.weight.grad, sca.conv2.weight.grad]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 7), st.integers(2, 7), st.integers(0, 99), st.booleans())
def test_gac_equals_stem_and_gate_computed_at_every_step(
    T: int, batch: int, height: int, width: int, seed: int, detach: bool
) -> None:
    encoder = GAC(stem(T), CHANNELS, T, lambda: LIF(threshold=0.3, detach_reset=detach)).double()
    randomise(encoder, seed)
    naive = Naive(encoder)
    assert encoder.temporal.mlp[0].weight.shape == (max(1, T // 2), T)
    images, repeated = (random_images(seed, batch, 3, height, width).requires_grad_() for _ in range(2))
    outputs, expected = encoder(images).transpose(0, 1), naive(repeated)
    close(outputs, expected)

    upstream = random_images(seed + 1, *expected.shape)
    outputs.backward(upstream)
    expected.backward(upstream)
    close(images.grad, repeated.grad)
    for mine, theirs in zip(gradients(encoder), naive.gradients(), strict=True):
        close(mine, theirs)
    close(encoder.stem[1].running_var, naive.bn.running_var)
    close(encoder.stem[1].running_mean, naive.bn.running_mean)
    close(encoder.eval()(images).transpose(0, 1), naive.eval()(repeated))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(2, 4), st.sampled_from([0.1, 0.5]),
    st.integers(0, 99),
)  # fmt: skip
def test_repeated_batch_norm_is_batch_norm_of_the_repeated_batch(
    T: int, batch: int, height: int, width: int, momentum: float, seed: int
) -> None:
    once, ordinary = RepeatedBatchNorm2d(CHANNELS, T).double(), nn.BatchNorm2d(CHANNELS).double()
    once.momentum = ordinary.momentum = momentum
    randomise(once, seed)
    ordinary.load_state_dict(once.state_dict())
    for call in range(3):
        x = random_images(seed + call, batch, CHANNELS, height, width).mul(3).add(1).requires_grad_()
        y = x.detach().clone().requires_grad_()
        if call == 2:
            once.eval()
            ordinary.eval()
        outputs, expected = once(x).repeat(T, 1, 1, 1), ordinary(y.repeat(T, 1, 1, 1))
        close(outputs, expected)
        upstream = random_images(seed + 9, *expected.shape)
        once.zero_grad()
        ordinary.zero_grad()
        outputs.backward(upstream)
        expected.backward(upstream)
        close(x.grad, y.grad)
        close(once.weight.grad, ordinary.weight.grad)
        close(once.bias.grad, ordinary.bias.grad)
        for name, value in ordinary.state_dict().items():
            close(once.state_dict()[name], value)


def test_batch_norm_run_twice_before_one_backward_pass_does_not_spoil_its_gradient() -> None:
    norm = RepeatedBatchNorm2d(CHANNELS, 3).double()
    x = random_images(0, 2, CHANNELS, 3, 3).requires_grad_()
    (alone,) = torch.autograd.grad(norm(x).square()[0].sum(), x)
    first = norm(x)
    norm(random_images(1, 2, CHANNELS, 3, 3))
    (gradient,) = torch.autograd.grad(first.square()[0].sum(), x)
    close(gradient, alone)


def test_direct_coding_is_the_stem_current_at_every_step() -> None:
    encoder = Direct(stem(3), CHANNELS, 3, LIF).double().eval()
    images = random_images(0, 2, 3, 5, 6)
    current = F.conv2d(images, encoder.stem[0].weight, padding=1) / (1 + 1e-5) ** 0.5
    assert encoder(images).shape == (3, 2, CHANNELS, 5, 6)
    for step in encoder(images):
        close(step, current)
    assert not any(isinstance(module, LIF) for module in encoder.modules())


@pytest.mark.parametrize("T", [1, 2, 3, 6])
def test_temporal_attention_gives_each_step_the_perceptron_of_mean_and_maximum(T: int) -> None:
    attention = TemporalAttention(T).double()
    randomise(attention, T)
    current = random_images(T, 3, CHANNELS, 2, 3)
    down, up = (layer.weight for layer in (attention.mlp[0], attention.mlp[2]))
    for b, weights in enumerate(attention(current)):
        pools = current[b].sum() / current[b].numel(), current[b].max()
        close(weights, sum(up @ (down.sum(dim=1) * pool).clamp(min=0) for pool in pools))


def test_spatial_channel_attention_sees_one_pixel_before_and_two_after() -> None:
    attention = SpatialChannelAttention(1, 1, kernel=4, stride=1)
    nn.init.constant_(attention.conv1.weight, 1.0)
    nn.init.zeros_(attention.conv2.weight)
    attention.conv2.weight.data[0, 0, 1, 1] = 1.0  # the tap that lies on the pixel itself
    point = torch.zeros(1, 1, 9, 9)
    point[0, 0, 4, 4] = 1.0
    seen = attention(point)[0, 0]
    expected = torch.zeros(9, 9)
    expected[2:6, 2:6] = 1.0  # a pixel is seen by those two before it to the one after it
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("encoder", [GAC, Direct])
def test_an_encoded_image_does_not_depend_on_its_batch(encoder: type[GAC] | type[Direct]) -> None:
    code = encoder(stem(3), CHANNELS, 3, LIF).double().eval()
    images = random_images(0, 4, 3, 6, 6)
    together = code(images)
    for b in range(4):
        close(code(images[b : b + 1])[:, 0], together[:, b])
