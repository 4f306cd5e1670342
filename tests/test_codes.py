"""Poisson, latency and phase codes against SPEC section 4, spike by spike; and networks that learn from them."""

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, Launch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_conf import config
from torch import Tensor, nn

from gacsnn import create_model
from gacsnn.encoders import ENCODERS, Latency, Phase, Poisson, latency_code, phase_code, poisson_code
from gacsnn.energy import firing_rates
from gacsnn.models import SpikingResNet
from gacsnn.neuron import LIF
from gacsnn.tasks.experiment import prepare

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


# The codes, pixel by pixel


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


# The encoders


def stem() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5))


@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize(("name", "kind", "options"), DETERMINISTIC, ids=CODED_IDS[1:])
def test_an_encoder_is_the_stem_on_each_step_of_the_code(
    name: str, kind: type, options: dict[str, str], T: int
) -> None:
    encoder = kind(stem(), 5, T, LIF, **options)
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


@pytest.mark.parametrize("T", [1, 2, 5])
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


# The encoders in runs


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


@pytest.mark.parametrize("arguments", [("encoder=poisson",), ("encoder=latency", "encoder.curve=log")])
def test_a_run_with_a_code_repeats_with_its_seed(launch: Launch, arguments: tuple[str, ...]) -> None:
    def measured(folder: str, seed: int) -> dict[str, float]:
        options = (*TINY, "hardware.threads=1", *arguments, f"seed={seed}", f"output_dir={folder}")
        assert launch(*options).code == 0
        result = json.loads(Path(folder, "result.json").read_text())
        return {key: result[key] for key in ("top1", "loss", "firing_rate", "sops", "energy_mj")}

    first = measured("a", 1)
    assert measured("b", 1) == first
    assert measured("c", 2)["loss"] != first["loss"]


def test_the_curve_of_the_latency_code_comes_from_the_command_line() -> None:
    for curve in ("linear", "log"):
        model = prepare(config("encoder=latency", f"encoder.curve={curve}", *TINY)).model
        x = pixels(0, 2, 3, 8, 8)
        assert torch.equal(model.encoder.coding(x), latency_code(x, 2, curve))


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
