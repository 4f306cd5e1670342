"""The LIF neuron against SPEC section 1: its forward loop and its backward recursion, written out for one neuron."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gacsnn.neuron import LIF, NEURONS

# Multiples of 1/8 are exact in binary, so that h == threshold and h at the surrogate's edge do occur.
eighths = st.integers(-16, 24).map(lambda n: n / 8)
numbers = st.one_of(eighths, st.floats(-2, 3))


class Case(NamedTuple):
    currents: list[float]
    gradients: list[float]
    neuron: dict[str, float | str | bool]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    steps = draw(st.integers(1, 7))
    several = st.lists(numbers, min_size=steps, max_size=steps)
    neuron = {
        "decay": draw(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))),
        "threshold": draw(st.one_of(st.sampled_from([0.5, 1.0]), st.floats(0.1, 2))),
        "surrogate": draw(st.sampled_from(["triangle", "rectangle"])),
        "surrogate_width": draw(st.sampled_from([0.5, 1.0, 2.0])),
        "detach_reset": draw(st.booleans()),
    }
    return Case(draw(several), draw(several), neuron)


def slope(distance: float, surrogate: str, width: float) -> float:
    """ds/dh at width 1 as SPEC has it, stretched to another width with the area kept."""
    x = abs(distance) / width
    return (max(0.0, 1 - x) if surrogate == "triangle" else float(x < 0.5)) / width


def naive(case: Case) -> tuple[list[float], list[float]]:
    """Spikes, and the gradient of the current."""
    n = case.neuron
    decay, threshold = float(n["decay"]), float(n["threshold"])
    v, hs, spikes = 0.0, [], []
    for x in case.currents:
        h = decay * v + x
        s = 1.0 if h > threshold else 0.0
        v = h * (1 - s)
        hs.append(h)
        spikes.append(s)
    gv, out = 0.0, [0.0] * len(hs)
    for t in reversed(range(len(hs))):
        u = slope(hs[t] - threshold, str(n["surrogate"]), float(n["surrogate_width"]))
        reset = 0.0 if n["detach_reset"] else gv * hs[t]
        gh = (case.gradients[t] - reset) * u + gv * (1 - spikes[t])
        out[t] = gh
        gv = decay * gh
    return spikes, out


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


@settings(max_examples=300, deadline=None)
@given(cases())
def test_spikes_and_gradients_are_those_of_the_formulae(case: Case) -> None:
    current = column(case.currents).requires_grad_()
    spikes = LIF(**case.neuron)(current)
    spikes.backward(column(case.gradients))
    expected, gradient = naive(case)
    assert spikes.flatten().tolist() == expected
    torch.testing.assert_close(current.grad, column(gradient), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_a_potential_equal_to_the_threshold_does_not_fire(threshold: float) -> None:
    above = torch.nextafter(torch.tensor(threshold), torch.tensor(9.0)).item()
    assert LIF(threshold=threshold)(torch.tensor([[threshold, above, -9.0]])).tolist() == [[0, 1, 0]]


def test_the_rectangle_ends_before_its_edge() -> None:
    current = torch.tensor([[0.0, 0.125, 0.5, 0.875, 1.0]], requires_grad=True)
    LIF(**NEURONS["imagenet"])(current).sum().backward()
    assert current.grad is not None
    assert current.grad.tolist() == [[0, 1, 1, 1, 0]]


def test_named_neurons_have_the_constants_of_the_two_programs() -> None:
    names = ("decay", "threshold", "surrogate", "surrogate_width", "detach_reset")
    assert NEURONS["cifar"] == dict(zip(names, (0.5, 1.0, "triangle", 1.0, False), strict=True))
    assert NEURONS["imagenet"] == dict(zip(names, (0.25, 0.5, "rectangle", 1.0, True), strict=True))


def test_no_state_is_kept_between_calls() -> None:
    lif = LIF()
    once, other = torch.full((1, 3), 0.9), torch.full((4, 5, 2), 0.99)
    for current in (once, once, other, once):  # a potential of 0.45 left over would make the next call fire
        assert (lif(current)[0] == 0).all()
    assert not lif.state_dict()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_spikes_have_the_shape_and_type_of_the_current(dtype: torch.dtype) -> None:
    spikes = LIF()(torch.randn(3, 2, 4, 5, 6).mul(2).to(dtype))
    assert spikes.shape == (3, 2, 4, 5, 6)
    assert spikes.dtype == dtype
    assert set(spikes.unique().tolist()) == {0, 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"surrogate": "sine"},
        {"decay": -0.1},
        {"decay": 1.1},
        {"threshold": 0.0},
        {"surrogate_width": 0.0},
        {"decay": float("nan")},
    ],
    ids=str,
)
def test_constants_out_of_range_are_refused(wrong: dict[str, float | str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LIF(**wrong)
