"""Learning rates and first optimizer steps against their formulae."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gacsnn.config.schema import SGD, Adam, Constant, Cosine, Step
from gacsnn.training.optim import lr_factor, make_optimizer, make_scheduler


def cosine(warmup: float = 0.0, final: float = 0.0, interval: str = "epoch") -> Cosine:
    return Cosine(name="cosine", interval=interval, warmup_epochs=float(warmup), final_fraction=final)


def drops(every: int, by: float, warmup: float = 0.0) -> Step:
    return Step(name="step", interval="epoch", warmup_epochs=float(warmup), every_epochs=every, factor=by)


def constant(warmup: float = 0.0) -> Constant:
    return Constant(name="constant", interval="epoch", warmup_epochs=float(warmup))


def rates(options: Cosine | Step | Constant, epochs: int, steps_per_epoch: int = 1) -> list[float]:
    """The learning rate, of 0.5 at the start, during each epoch or step, and after the last."""
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scheduler = make_scheduler(optimizer, options, epochs, steps_per_epoch)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(epochs * (steps_per_epoch if options.interval == "step" else 1)):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.sampled_from([0.0, 0.01, 1.0]))
def test_cosine_falls_once_an_epoch_to_its_final_fraction(epochs: int, final: float) -> None:
    expected = [0.5 * (final + (1 - final) * (1 + math.cos(math.pi * e / epochs)) / 2) for e in range(epochs + 1)]
    assert rates(cosine(final=final), epochs, steps_per_epoch=7) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9))
def test_cosine_can_fall_at_every_step(epochs: int, steps: int) -> None:
    total = epochs * steps
    expected = [0.25 * (1 + math.cos(math.pi * k / total)) for k in range(total + 1)]
    assert rates(cosine(interval="step"), epochs, steps) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 20))
def test_warm_up_rises_by_equal_parts_and_cosine_follows(warmup: int, rest: int) -> None:
    rise = [0.5 * (e + 1) / warmup for e in range(warmup)]
    fall = [0.25 * (1 + math.cos(math.pi * e / rest)) for e in range(rest + 1)]
    assert rates(cosine(warmup), warmup + rest) == pytest.approx(rise + fall, abs=1e-12)
    assert rates(constant(warmup), warmup + rest) == pytest.approx(rise + [0.5] * (rest + 1))


def test_warm_up_at_every_step_reaches_the_whole_rate_with_its_last_step() -> None:
    expected = [0.5 * (k + 1) / 8 for k in range(8)] + [0.25 * (1 + math.cos(math.pi * k / 4)) for k in range(5)]
    assert rates(cosine(warmup=2, interval="step"), epochs=3, steps_per_epoch=4) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 10), st.sampled_from([0.1, 0.5, 1.0]))
def test_steps_multiply_the_rate_every_so_many_epochs(epochs: int, every: int, by: float) -> None:
    expected, rate = [], 0.5
    for epoch in range(epochs + 1):
        if epoch and epoch % every == 0:
            rate *= by
        expected.append(rate)
    assert rates(drops(every, by), epochs) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([cosine, lambda warmup: drops(3, 0.5, warmup), constant]),
    st.floats(0, 50), st.integers(1, 30), st.floats(0, 60), st.sampled_from([1.0, 0.1]),
)  # fmt: skip
def test_an_lr_factor_is_never_outside_nought_to_one(
    schedule: object, warmup: float, epochs: int, epoch: float, step: float
) -> None:
    assert 0 <= lr_factor(schedule(warmup), epoch, epochs, step) <= 1  # type: ignore[operator]


def after_steps(options: SGD | Adam, weight: float, gradients: list[float], fused: bool) -> list[float]:
    layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(layer.weight, weight)
    optimizer = make_optimizer(layer, options, fused)
    found = []
    for gradient in gradients:
        layer.weight.grad = torch.full((1, 1), gradient, dtype=torch.float64)
        optimizer.step()
        found.append(layer.weight.item())
    return found


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.0), (0.9, 0.02), (0.5, 0.1)])
def test_sgd_has_the_momentum_and_weight_decay_of_the_config(
    fused: bool, nesterov: bool, momentum: float, decay: float
) -> None:
    weight, velocity, expected = 2.0, 0.0, []
    for gradient in (1.0, -3.0, 0.5):
        g = gradient + decay * weight
        velocity = momentum * velocity + g
        weight -= 0.1 * (g + momentum * velocity if nesterov else velocity)
        expected.append(weight)
    options = SGD(name="sgd", lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    assert after_steps(options, 2.0, [1.0, -3.0, 0.5], fused) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_and_adamw_differ_in_where_weight_decay_enters(name: str, fused: bool) -> None:
    lr, (b1, b2), eps, decay = 0.1, (0.8, 0.95), 1e-3, 0.2
    weight, m, v, expected = 2.0, 0.0, 0.0, []
    for t, gradient in enumerate((1.0, -3.0, 0.5), start=1):
        g = gradient
        if name == "adam":
            g += decay * weight
        else:
            weight -= lr * decay * weight
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        weight -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        expected.append(weight)
    options = Adam(name=name, lr=lr, betas=[b1, b2], eps=eps, weight_decay=decay)
    assert after_steps(options, 2.0, [1.0, -3.0, 0.5], fused) == pytest.approx(expected, rel=1e-9)


def test_the_optimizer_holds_every_parameter_once() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    options = SGD(name="sgd", lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    held = [id(p) for group in make_optimizer(model, options).param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))
