"""The paths of task=benchmark: that they compute the same, and that what is counted of them is right."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gacsnn.benchmark.counted import Moved, saved_bytes
from gacsnn.benchmark.floor import Floor, calls
from gacsnn.benchmark.released import released
from gacsnn.kernels import cpu
from gacsnn.kernels.fused import Fused
from gacsnn.models import create_model
from gacsnn.neuron import LIF, NEURONS


@pytest.mark.parametrize(
    ("encoder", "options"), [("gac", {}), ("gac", {"kernel": 3, "gate": "image"}), ("direct", {}), ("poisson", {})]
)
@pytest.mark.parametrize("neuron", ["cifar", "imagenet"])
def test_the_released_shape_computes_the_same(encoder: str, neuron: str, options: Mapping[str, Any]) -> None:
    torch.manual_seed(0)
    ours = create_model(
        "resnet8", T=3, num_classes=5, width=0.1, encoder=encoder, neuron=NEURONS[neuron], encoder_options=options
    ).double()
    fast = copy.deepcopy(ours)
    fast.use(Fused(cpu))
    theirs = released(fast)
    images, g = torch.rand(4, 3, 12, 12).double(), torch.randn(4, 3, 5).double()
    found = []
    for model in (ours, theirs, fast):
        torch.manual_seed(1)
        logits = model(images)
        logits.backward(g)
        found.append((logits.detach(), [p.grad for p in model.parameters()], dict(model.named_buffers())))
    for other in found[1:]:
        torch.testing.assert_close(other[0], found[0][0], rtol=1e-9, atol=1e-12)
        for one, two in zip(found[0][1], other[1], strict=True):
            torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-12)
        for one, two in zip(found[0][2].values(), other[2].values(), strict=True):
            torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-12)


def test_the_floor_has_each_convolution_and_the_head_once() -> None:
    model = create_model("resnet8", T=3, num_classes=5, width=0.1)
    images = torch.rand(4, 3, 12, 12)
    layers = [layer for layer, _, _ in calls(model, images)]
    assert layers.count(model.head.linear) == 1
    assert set(layers) == {m for m in model.modules() if isinstance(m, nn.Conv2d)} | {model.head.linear}
    shapes = {layer: shape for layer, shape, _ in calls(model, images)}
    assert shapes[model.encoder.stem[0]][0] == 4  # the encoder's are computed once
    assert shapes[model.stages[0][0].conv1][0] == 3 * 4
    floor = Floor(model, images, torch.float32, torch.channels_last)
    assert [x.requires_grad for x in floor.inputs].count(False) == 1
    forward = sum(
        2 * math.prod(y.shape) * math.prod(layer.weight.shape[1:])
        for (layer, _, _), y in zip(calls(model, images), floor.forward(), strict=True)
    )
    of_images = 2 * math.prod(floor.forward()[0].shape) * math.prod(model.encoder.stem[0].weight.shape[1:])
    assert floor.flops() == 3 * forward - of_images  # images want no gradient
    assert all(x.grad is None for x in floor.inputs)


def test_what_is_kept_counts_once_and_without_the_weights() -> None:
    model = nn.Linear(10, 10)
    x = torch.rand(4, 10)
    assert saved_bytes(model, x, model) == 4 * 10 * 4
    assert saved_bytes(model, x, lambda x: model(x).exp() * model(x).exp()) == 4 * 10 * 4 * 3


def test_what_is_moved_is_what_is_read_and_written() -> None:
    x = torch.rand(100)
    with Moved() as moved:
        y = x + 1
        y.view(10, 10)
        torch.empty(1000)
        x[:1].clone().expand(50).exp()
    assert moved.bytes == (400 + 400) + (4 + 4) + (4 + 200)
    assert moved.operations == 3
    with Moved() as moved:
        torch.conv2d(torch.rand(1, 1, 5, 5), torch.rand(1, 1, 3, 3))
    assert moved.bytes == 4 * (25 + 9)  # to draw them
    assert moved.operations == 3
    current = torch.rand(4, 2, 3, 5, 5)
    with Moved() as moved:
        moved.watched(cpu).lif(current, LIF())
    assert moved.bytes == 2 * 4 * current.numel()
    assert moved.operations == 1


def test_what_was_counted_leaves_nothing_behind() -> None:
    """What autograd keeps of an operation's own output would keep the operation, too, and the images' activations with it."""
    model = create_model("resnet8", T=2, num_classes=10, width=0.1)
    saved_bytes(model, torch.rand(2, 3, 8, 8), model)
    for name, weight in model.named_parameters():
        assert not is_held(weight), name


def is_held(weight: Tensor) -> bool:
    """Whether something holds the place where the gradient of a weight arrives."""
    node = weight.view_as(weight).grad_fn.next_functions[0][0]  # pyright: ignore[reportOptionalMemberAccess]
    node.metadata["seen"] = True  # pyright: ignore[reportOptionalMemberAccess]
    del node
    again = weight.view_as(weight).grad_fn.next_functions[0][0]  # pyright: ignore[reportOptionalMemberAccess]
    return "seen" in again.metadata  # pyright: ignore[reportOptionalMemberAccess]
