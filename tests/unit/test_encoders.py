"""The encoders against SPEC sections 2 and 4, recomputed naively: stem and gate at each of the T steps, codes spike by spike."""

import copy
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import close, random_images, small, trains
from torch import Tensor, nn

from gacsnn import create_model
from gacsnn.batchnorm import BatchNorm2d
from gacsnn.encoders import (
    GAC,
    Direct,
    Latency,
    Phase,
    Poisson,
    SpatialChannelAttention,
    TemporalAttention,
    latency_code,
    phase_code,
    poisson_code,
)
from gacsnn.energy import firing_rates
from gacsnn.models import SpikingResNet
from gacsnn.neuron import LIF

CHANNELS = 4


def randomise(module: nn.Module, seed: int) -> None:
    """Weights far from their start, so that no term of the formulae is near nothing."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.1, 0.5, generator)


def stem(T: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False), BatchNorm2d(CHANNELS, T))


def doubles(seed: int, *shape: int) -> Tensor:
    return random_images(*shape, seed=seed, dtype=torch.float64)


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
    images, repeated = (doubles(seed, batch, 3, height, width).requires_grad_() for _ in range(2))
    outputs, expected = encoder(images).transpose(0, 1), naive(repeated)
    close(outputs, expected)

    upstream = doubles(seed + 1, *expected.shape)
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
    once, ordinary = BatchNorm2d(CHANNELS, T).double(), nn.BatchNorm2d(CHANNELS).double()
    once.momentum = ordinary.momentum = momentum
    randomise(once, seed)
    ordinary.load_state_dict(once.state_dict())
    for call in range(3):
        x = doubles(seed + call, batch, CHANNELS, height, width).mul(3).add(1).requires_grad_()
        y = x.detach().clone().requires_grad_()
        if call == 2:
            once.eval()
            ordinary.eval()
        outputs, expected = once(x).repeat(T, 1, 1, 1), ordinary(y.repeat(T, 1, 1, 1))
        close(outputs, expected)
        upstream = doubles(seed + 9, *expected.shape)
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
    norm = BatchNorm2d(CHANNELS, 3).double()
    x = doubles(0, 2, CHANNELS, 3, 3).requires_grad_()
    (alone,) = torch.autograd.grad(norm(x).square()[0].sum(), x)
    first = norm(x)
    norm(doubles(1, 2, CHANNELS, 3, 3))
    (gradient,) = torch.autograd.grad(first.square()[0].sum(), x)
    close(gradient, alone)


def test_direct_coding_is_the_stem_current_at_every_step() -> None:
    encoder = Direct(stem(3), CHANNELS, 3, LIF).double().eval()
    images = doubles(0, 2, 3, 5, 6)
    current = F.conv2d(images, encoder.stem[0].weight, padding=1) / (1 + 1e-5) ** 0.5
    assert encoder(images).shape == (3, 2, CHANNELS, 5, 6)
    for step in encoder(images):
        close(step, current)
    assert not any(isinstance(module, LIF) for module in encoder.modules())


@pytest.mark.parametrize("T", [1, 2, 3, 6])
def test_temporal_attention_gives_each_step_the_perceptron_of_mean_and_maximum(T: int) -> None:
    attention = TemporalAttention(T).double()
    randomise(attention, T)
    current = doubles(T, 3, CHANNELS, 2, 3)
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
    images = doubles(0, 4, 3, 6, 6)
    together = code(images)
    for b in range(4):
        close(code(images[b : b + 1])[:, 0], together[:, b])


# Kernels and gates beside the released ones


@pytest.mark.parametrize("layout", ["cifar", "imagenet"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (33, 20)])
@pytest.mark.parametrize("gate", ["stem", "image"])
@pytest.mark.parametrize("kernel", [1, 3, 4, 8])
def test_any_kernel_and_gate_keep_the_size_of_the_stem(
    kernel: int, gate: str, size: tuple[int, int], layout: str
) -> None:
    model = small("resnet8", layout=layout, T=3, encoder_options={"kernel": kernel, "gate": gate}).eval()
    images = random_images(2, 3, *size)
    expected = size if layout == "cifar" else tuple(-(-side // 2) for side in size)
    assert model.encoder.stem(images).shape == (2, 4, *expected)
    assert model.encoder(images).shape == (3, 2, 4, *expected)
    assert model(images).shape == (2, 3, 5)


@pytest.mark.parametrize(("gate", "inputs"), [("stem", 4), ("image", 3)])
@pytest.mark.parametrize("kernel", [4, 8])
def test_the_kernel_is_that_of_both_convolutions_of_the_gate(kernel: int, gate: str, inputs: int) -> None:
    sca = small("resnet8", encoder_options={"kernel": kernel, "gate": gate}).encoder.spatial_channel
    assert sca.conv1.weight.shape == (4, inputs, kernel, kernel)
    assert sca.conv2.weight.shape == (4, 4, kernel, kernel)


def test_a_kernel_of_eight_sees_three_pixels_before_and_four_after() -> None:
    sca = small("resnet8", encoder_options={"kernel": 8}, width=1 / 64).encoder.spatial_channel
    nn.init.constant_(sca.conv1.weight, 1.0)
    nn.init.zeros_(sca.conv2.weight)
    sca.conv2.weight.data[0, 0, 3, 3] = 1.0  # the tap that lies on the pixel itself
    point = torch.zeros(1, 1, 15, 15)
    point[0, 0, 7, 7] = 1.0
    expected = torch.zeros(15, 15)
    expected[3:11, 3:11] = 1.0  # a pixel is seen by those four before it to the three after it
    assert torch.equal(sca(point)[0, 0], expected)


@pytest.mark.parametrize(("layout", "name", "stride"), [("cifar", "resnet8", 1), ("imagenet", "resnet8", 2),
                                                       ("imagenet", "resnet104", 2)])  # fmt: skip
@pytest.mark.parametrize("size", [(12, 12), (11, 14)])
def test_a_gate_beside_the_stem_reads_the_image(layout: str, name: str, stride: int, size: tuple[int, int]) -> None:
    model = small(name, layout=layout, T=3, encoder_options={"gate": "image"}).double().eval()
    encoder = model.encoder
    assert isinstance(encoder, GAC)
    for weight in encoder.parameters():
        nn.init.normal_(weight, 0.1, 0.5)
    images = random_images(2, 3, *size).double()
    down, up = encoder.temporal.mlp[0].weight, encoder.temporal.mlp[2].weight
    first, second = encoder.spatial_channel.conv1.weight, encoder.spatial_channel.conv2.weight
    hidden = F.relu(F.conv2d(F.pad(images, (1, 2, 1, 2)), first, stride=stride))
    spatial = F.conv2d(F.pad(hidden, (1, 2, 1, 2)), second)
    current = encoder.stem(images)
    spikes = encoder.lif(current.expand(3, *current.shape))
    for b in range(2):
        pools = images[b].mean(), images[b].max()
        temporal = sum(up @ (down.sum(dim=1) * pool).clamp(min=0) for pool in pools)
        for t in range(3):
            expected = torch.sigmoid(temporal[t] * spatial[b]) * spikes[t, b]
            torch.testing.assert_close(encoder(images)[t, b], expected, rtol=1e-9, atol=1e-10)


def test_the_two_gates_read_different_things() -> None:
    """With a dead stem, the gate beside it still sees the image, and the released one sees none."""
    for gate, moves in (("stem", False), ("image", True)):
        encoder = small("resnet8", encoder_options={"gate": gate}).encoder.eval()
        nn.init.zeros_(encoder.stem[0].weight)
        nn.init.constant_(encoder.stem[1].bias, 3.0)  # every neuron fires
        for layer in (encoder.spatial_channel.conv1, encoder.spatial_channel.conv2, *encoder.temporal.mlp[::2]):
            nn.init.constant_(layer.weight, 0.01)
        one, other = encoder(random_images(1, 3, 8, 8).abs()), encoder(5 * random_images(1, 3, 8, 8).abs())
        assert torch.equal(one, other) != moves


def test_an_unknown_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="gate='both': choose one of stem, image"):
        small("resnet8", encoder_options={"gate": "both"})


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "max_resnet18"])
def test_the_gates_variants_train(name: str) -> None:
    trains(small(name, encoder_options={"gate": "image", "kernel": 8}), (9, 7))


# The codes, pixel by pixel


Code = Callable[[Tensor, int], Tensor]
CODES: dict[str, Code] = {
    "poisson": poisson_code,
    "linear": lambda pixels, T: latency_code(pixels, T, "linear"),
    "log": lambda pixels, T: latency_code(pixels, T, "log"),
    "phase": phase_code,
}
# Name, encoder, its options: all that codes pixels before the stem.
CODED = [
    ("poisson", Poisson, {}),
    ("latency", Latency, {"curve": "linear"}),
    ("latency", Latency, {"curve": "log"}),
    ("phase", Phase, {}),
]
CODED_IDS = ["poisson", "linear", "log", "phase"]
DETERMINISTIC = CODED[1:]
pixels32 = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6)
steps = st.one_of(st.integers(1, 12), st.sampled_from([25, 60, 200]))


def pixels(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def digits(x: float, T: int) -> list[int]:
    """Bits of x as SPEC has them: compare with w = 2^-k, subtract, halve. Exact."""
    rest, w, bits = Fraction(x), Fraction(1, 2), []
    for _ in range(T):
        bits.append(int(rest >= w))
        rest -= w * bits[-1]
        w /= 2
    return bits


@settings(max_examples=150, deadline=None)
@given(pixels32, steps)
@example([0.0, 1.0, 0.5, 0.25, 2.0**-149, 1 - 2.0**-24], 200)
def test_the_phase_code_is_the_binary_digits(values: list[float], T: int) -> None:
    for dtype in (torch.float32, torch.float64):
        spikes = phase_code(torch.tensor(values, dtype=dtype), T)
        assert spikes.t().tolist() == [digits(x, T) for x in values]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 255), st.integers(1, 8))
def test_phase_digits_weigh_the_pixel_to_the_last_of_them(level: int, T: int) -> None:
    weights = 2.0 ** -torch.arange(1, T + 1)
    read = (phase_code(torch.tensor([level / 256]), T)[:, 0] * weights).sum().item()
    assert read == level * 2**T // 256 / 2**T


@settings(max_examples=150, deadline=None)
@given(pixels32, steps)
@example([0.0, 1.0, 0.5, 0.125, 0.375], 2)
@example([0.5], 1)
def test_the_linear_latency_code_is_one_spike_at_the_rounded_time(values: list[float], T: int) -> None:
    spikes = latency_code(torch.tensor(values), T)
    assert spikes.shape == (T, len(values))
    for n, x in enumerate(values):
        expected = [0.0] * T
        expected[round((T - 1) * (1 - x))] = 1.0
        assert spikes[:, n].tolist() == expected


def exact_log_time(x: float, T: int) -> Decimal:
    """(T - 1) - ln(a x + 1), a = exp(T - 1) - 1, to sixty digits."""
    with localcontext() as context:
        context.prec = 1000
        a = Decimal(T - 1).exp() - 1
        context.prec = 60
        return (T - 1) - (a * Decimal(x) + 1).ln()


@settings(max_examples=60, deadline=None)
@given(pixels32, st.one_of(st.integers(1, 12), st.sampled_from([25, 89, 200])))
@example([0.0, 1.0, 2.0**-149, 0.5, 1 - 2.0**-24], 200)
@example([0.0, 0.5, 1.0], 1)
def test_the_log_latency_code_is_one_spike_at_the_rounded_time(values: list[float], T: int) -> None:
    spikes = latency_code(torch.tensor(values), T, "log")
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    for n, x in enumerate(values):
        (step,) = spikes[:, n].nonzero().flatten().tolist()
        assert abs(exact_log_time(x, T) - step) <= Decimal("0.5") + Decimal("1e-9")


@pytest.mark.parametrize("code", ["linear", "log", "phase"])
def test_two_thousand_steps_neither_overflow_nor_miss_a_spike(code: str) -> None:
    T = 2000
    values = [0.0, 1e-30, 1e-3, 0.25, 0.5, 1.0]
    spikes = CODES[code](torch.tensor(values, dtype=torch.float64), T)
    assert spikes.shape == (T, len(values))
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    for n, x in enumerate(values):
        fired = spikes[:, n].nonzero().flatten().tolist()
        if code == "linear":
            assert fired == [round((T - 1) * (1 - x))]
        elif code == "log":
            (step,) = fired
            assert abs(exact_log_time(x, T) - step) <= Decimal("0.501")
        else:
            assert spikes[:, n].tolist() == digits(x, T)


@pytest.mark.parametrize("T", [1, 2, 7, 200])
def test_black_and_white(T: int) -> None:
    ends = torch.tensor([0.0, 1.0])
    for curve in ("linear", "log"):
        spikes = latency_code(ends, T, curve)
        assert spikes.sum(dim=0).tolist() == [1, 1]
        assert spikes[T - 1, 0] == spikes[0, 1] == 1, "white is first, black is last"
    for code in (poisson_code, phase_code):
        assert torch.equal(code(ends, T), ends.expand(T, 2)), "white always spikes, black never"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["linear", "log"]), st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2), steps)
def test_a_brighter_pixel_spikes_no_later(curve: str, pair: list[float], T: int) -> None:
    dark, bright = latency_code(torch.tensor(sorted(pair)), T, curve).argmax(dim=0).tolist()
    assert bright <= dark


def test_an_unknown_curve_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="curve='cubic': choose one of linear, log"):
        latency_code(torch.zeros(1), 2, "cubic")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(CODES)), st.lists(st.integers(1, 3), min_size=0, max_size=4), st.integers(1, 9),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]), st.integers(0, 999),
)  # fmt: skip
def test_codes_put_time_first_keep_shape_and_type_and_leave_their_input_alone(
    name: str, shape: list[int], T: int, dtype: torch.dtype, seed: int
) -> None:
    x = pixels(seed, *shape).to(dtype)
    before = x.clone()
    spikes = CODES[name](x, T)
    assert (spikes.shape, spikes.dtype) == ((T, *shape), dtype)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", ["linear", "log", "phase"])
def test_a_deterministic_code_draws_no_number_and_sees_each_pixel_alone(name: str) -> None:
    x = pixels(0, 3, 2, 4)
    state = torch.get_rng_state()
    together = CODES[name](x, 6)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(CODES[name](x.flip(0, 2), 6).flip(1, 3), together)
    assert torch.equal(CODES[name](x[1, 0, 2], 6), together[:, 1, 0, 2])


def test_poisson_repeats_with_the_seed_and_differs_otherwise() -> None:
    x = pixels(0, 4, 3, 8, 8)

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return poisson_code(x, 5)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    torch.manual_seed(1)
    assert not torch.equal(poisson_code(x, 5), poisson_code(x, 5)), "each batch is drawn anew"


def test_poisson_spikes_as_often_as_the_pixel_is_bright_each_step_and_pixel_for_itself() -> None:
    T = 4000
    x = torch.linspace(0, 1, 21, dtype=torch.float64)
    torch.manual_seed(0)
    spikes = poisson_code(x, T)
    error = (x * (1 - x) / T).sqrt()
    assert ((spikes.mean(dim=0) - x).abs() <= 4.5 * error).all()
    half = poisson_code(torch.full((2,), 0.5), T) - 0.5
    for one, other in ((half[1:, 0], half[:-1, 0]), (half[:, 0], half[:, 1])):  # the step before; the pixel beside
        assert abs(4 * (one * other).mean().item()) < 4.5 / T**0.5


# The codes before a stem, and networks that learn from them


def plain_stem() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5))


@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize(("name", "kind", "options"), DETERMINISTIC, ids=CODED_IDS[1:])
def test_an_encoder_is_the_stem_on_each_step_of_the_code(
    name: str, kind: type, options: dict[str, str], T: int
) -> None:
    encoder = kind(plain_stem(), 5, T, LIF, **options)
    conv, norm = encoder.requires_grad_(False).stem
    nn.init.normal_(norm.weight, 1.0, 0.3)
    x = pixels(1, 2, 3, 5, 6)
    frames = [F.conv2d(frame, conv.weight, padding=1) for frame in CODES[options.get("curve", name)](x, T)]
    everything = torch.stack(frames)
    assert encoder.training
    mean = everything.mean((0, 1, 3, 4))
    variance = everything.var((0, 1, 3, 4), unbiased=False)
    n = everything.numel() // 5
    for output, frame in zip(encoder(x), frames, strict=True):
        torch.testing.assert_close(
            output, F.batch_norm(frame, mean, variance, norm.weight, norm.bias), rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * variance * n / (n - 1))
    encoder.eval()
    for output, frame in zip(encoder(x), frames, strict=True):
        torch.testing.assert_close(output, norm(frame), rtol=1e-5, atol=1e-6)


def test_the_batch_norm_behind_a_coded_stem_is_ordinary_because_its_frames_are_all_there() -> None:
    model = create_model("resnet8", T=3, num_classes=2, encoder="phase", width=1 / 16)
    x = pixels(0, 2, 3, 6, 6)
    frames = model.encoder.stem[0](phase_code(x, 3).flatten(0, 1)).detach()
    ordinary = nn.BatchNorm2d(frames.shape[1])
    ordinary(frames)
    model(x)
    torch.testing.assert_close(model.encoder.stem[1].running_var, ordinary.running_var)
    torch.testing.assert_close(model.encoder.stem[1].running_mean, ordinary.running_mean)


def network(name: str, T: int, options: dict[str, str], layout: str = "cifar", classes: int = 3) -> SpikingResNet:
    torch.manual_seed(0)
    return create_model(
        "resnet8", T=T, num_classes=classes, encoder=name, layout=layout, width=1 / 8, encoder_options=options
    )


@pytest.mark.parametrize(("name", "kind", "options"), DETERMINISTIC, ids=CODED_IDS[1:])
def test_nothing_is_kept_from_one_batch_to_the_next(name: str, kind: type, options: dict[str, str]) -> None:
    model = network(name, 4, options)
    first, second = pixels(0, 3, 3, 8, 8), pixels(1, 2, 3, 8, 8)
    model(first)  # running statistics that are not those of the start
    model.eval()
    assert isinstance(model.encoder, kind)
    with torch.no_grad():
        before = model(first), model.encoder(first)
        model(second)
        after = model(first), model.encoder(first)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert set(model.encoder.state_dict()) == {f"stem.{key}" for key in model.encoder.stem.state_dict()}


def test_a_poisson_network_repeats_with_the_seed_whatever_came_before() -> None:
    model = network("poisson", 4, {}).eval()
    first, second = pixels(0, 3, 3, 8, 8), pixels(1, 2, 3, 8, 8)

    def encoded(x: Tensor, seed: int) -> Tensor:
        torch.manual_seed(seed)
        return model.encoder(x)

    before = encoded(first, 1)
    encoded(second, 2)
    assert torch.equal(encoded(first, 1), before)
    assert not torch.equal(encoded(first, 2), before)


@pytest.mark.parametrize("layout", ["cifar", "imagenet"])
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize(("name", "kind", "options"), CODED, ids=CODED_IDS)
def test_gradients_reach_the_stem(name: str, kind: type, options: dict[str, str], T: int, layout: str) -> None:
    model = network(name, T, options, layout)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1.0)  # the imagenet layout starts with silent residuals
    F.cross_entropy(model(pixels(0, 4, 3, 17, 15)).mean(dim=1), torch.tensor([0, 1, 2, 0])).backward()
    for parameter in model.encoder.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


def bright_halves(count: int = 12) -> tuple[Tensor, Tensor]:
    """Images whose upper half, lower half or whole is bright, five, four and three of each."""
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 0])[:count]
    images = 0.1 + 0.1 * pixels(2, count, 3, 8, 8)
    images[labels != 1, :, :4] += 0.75
    images[labels != 0, :, 4:] += 0.75
    return images, labels


@pytest.mark.parametrize("T", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "options"), [*((n, o) for n, _, o in CODED), ("gac", {}), ("direct", {})])
def test_a_network_learns_from_each_encoding(name: str, options: dict[str, str], T: int) -> None:
    model = network(name, T, options)
    images, labels = bright_halves()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(model(images).mean(dim=1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if name == "latency" and T == 1:  # every pixel's one spike is at the one step: only how often each class comes
        assert losses[-1] < losses[0]
        assert torch.equal(model.encoder.coding(images), torch.ones(1, *images.shape))
    else:
        assert losses[-1] < 0.5 * losses[0], losses
        assert (model(images).mean(dim=1).argmax(dim=1) == labels).all()


@pytest.mark.parametrize(("name", "kind", "options"), CODED, ids=CODED_IDS)
def test_the_spikes_of_a_code_are_counted_beside_those_of_neurons(
    name: str, kind: type, options: dict[str, str]
) -> None:
    model = network(name, 4, options).eval()
    x = pixels(0, 2, 3, 8, 8)
    torch.manual_seed(5)
    with torch.no_grad(), firing_rates(model) as rates:
        model(x)
    torch.manual_seed(5)
    expected = CODES[options.get("curve", name)](x, 4)
    assert rates.by_step()["encoder.coding"] == pytest.approx(expected.mean((1, 2, 3, 4)).tolist(), abs=1e-6)
    neurons = [layer for layer in rates.spikes if layer != "encoder.coding"]
    assert len(neurons) == 7
    total = sum(rates.spikes[layer].sum().item() for layer in neurons)
    assert rates.mean() == pytest.approx(total / sum(rates.neuron_steps[layer] for layer in neurons))
