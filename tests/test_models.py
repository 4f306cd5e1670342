"""The networks against SPEC section 3: sizes, shapes, what a block computes, starting weights."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gacsnn.errors import InputError
from gacsnn.models import Block, Head, SpikingResNet, create_model
from gacsnn.neuron import LIF, NEURONS


def tiny(layout: str = "cifar", name: str = "resnet18", T: int = 2, encoder: str = "gac") -> SpikingResNet:
    torch.manual_seed(0)
    return create_model(name, T=T, num_classes=5, encoder=encoder, layout=layout, width=1 / 16)


def random_images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("layout", "name", "T", "classes", "count"),
    [("cifar", "resnet18", 6, 10, 12_633_198), ("imagenet", "resnet18", 4, 1000, 11_824_824)],
)
def test_the_paper_networks_have_exactly_their_parameters(
    layout: str, name: str, T: int, classes: int, count: int
) -> None:
    with torch.device("meta"):
        model = create_model(name, T=T, num_classes=classes, encoder="gac", layout=layout)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def weights_of(widths: list[int], blocks: list[int], strides: list[int], stem_kernel: int, T: int, classes: int) -> int:
    """Parameters of a GAC network, added up by hand from its table."""
    norm = lambda channels: 2 * channels  # noqa: E731
    total = 3 * 64 * stem_kernel**2 + norm(64) + 2 * 64 * 64 * 16 + 2 * T * max(1, T // 2)
    channels = 64
    for width, count, stride in zip(widths, blocks, strides, strict=True):
        for index in range(count):
            total += 9 * channels * width + 9 * width * width + 2 * norm(width)
            if channels != width or (index == 0 and stride != 1):
                total += channels * width + norm(width)
            channels = width
    return total + channels * classes + classes


@pytest.mark.parametrize("T", [1, 4])
@pytest.mark.parametrize(
    ("layout", "name", "classes", "table", "millions"),
    [
        ("cifar", "resnet18", 100, ([128, 256, 512], [3, 3, 2], [1, 2, 2], 3), 12.68),
        ("imagenet", "resnet34", 1000, ([64, 128, 256, 512], [3, 4, 6, 3], [2, 2, 2, 2], 7), 21.93),
    ],
)
def test_other_sizes_have_the_parameters_of_their_tables(
    layout: str, name: str, classes: int, table: tuple[list[int], list[int], list[int], int], millions: float, T: int
) -> None:
    with torch.device("meta"):
        model = create_model(name, T=T, num_classes=classes, layout=layout)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == weights_of(*table, T=T, classes=classes)
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def shapes(model: SpikingResNet, side: int) -> list[tuple[int, ...]]:
    """Shape [T, B, C, H, W] after the encoder and after each block."""
    seen: list[tuple[int, ...]] = []
    for module in model.modules():
        if isinstance(module, Block) or module is model.encoder:
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape)))
    assert model(random_images(2, 3, side, side)).shape == (2, model.T, 5)
    return seen


def test_cifar_blocks_have_the_shapes_of_the_table() -> None:
    expected = [(3, 2, 4, 16, 16), *[(3, 2, 8, 16, 16)] * 3, *[(3, 2, 16, 8, 8)] * 3, *[(3, 2, 32, 4, 4)] * 2]
    assert shapes(tiny(T=3), 16) == expected


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", [2, 2, 2, 2]), ("resnet34", [3, 4, 6, 3])])
def test_imagenet_blocks_have_the_shapes_of_the_table(name: str, blocks: list[int]) -> None:
    expected = [(2, 2, 4, 32, 32)]
    for index, count in enumerate(blocks):
        side = 16 >> index
        expected += [(2, 2, 4 << index, side, side)] * count
    assert shapes(tiny("imagenet", name), 64) == expected


def shortcuts(model: SpikingResNet) -> list[str]:
    def kind(block: Block) -> str:
        layers = [] if block.shortcut is None else list(block.shortcut)
        return " ".join(
            f"conv{layer.kernel_size[0]}/{layer.stride[0]}" if isinstance(layer, nn.Conv2d) else type(layer).__name__
            for layer in layers
        )

    return [kind(module) for module in model.modules() if isinstance(module, Block)]


def test_shortcuts_are_the_identity_but_where_stride_or_width_changes() -> None:
    wider, smaller = "conv1/1 BatchNorm2d", "conv1/2 BatchNorm2d"
    assert shortcuts(tiny()) == [wider, "", "", smaller, "", "", smaller, ""]
    assert shortcuts(tiny("imagenet")) == [smaller, ""] * 4
    pooled = "AvgPool2d conv1/1 BatchNorm2d"
    deep = shortcuts(tiny("imagenet", "resnet104"))
    assert deep == [pooled, *[""] * 2, pooled, *[""] * 7, pooled, *[""] * 31, pooled, *[""] * 7]


def test_the_stem_of_resnet104_is_three_convolutions_with_biases() -> None:
    convs = [layer for layer in tiny("imagenet", "resnet104").encoder.stem if isinstance(layer, nn.Conv2d)]
    found = [(conv.kernel_size, conv.stride, conv.bias is not None) for conv in convs]
    assert found == [((3, 3), (2, 2), True), ((3, 3), (1, 1), True), ((3, 3), (1, 1), True)]


def test_only_the_stem_of_resnet104_and_the_head_have_biases() -> None:
    for layout in ("cifar", "imagenet"):
        model = tiny(layout)
        biased = [name for name, layer in model.named_modules() if getattr(layer, "bias", None) is not None]
        assert all("norm" in type(model.get_submodule(name)).__name__.lower() for name in biased[:-1])
        assert biased[-1] == "head.linear"


def on_all_frames(x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
    """B and T are one axis for the layer."""
    steps, batch = x.shape[:2]
    y = layer(x.reshape(steps * batch, *x.shape[2:]))
    return y.reshape(steps, batch, *y.shape[1:])


def batch_norm(x: Tensor) -> Tensor:
    """Batch norm at its start, of [T, B, C, H, W] over all but C."""
    mean = x.mean((0, 1, 3, 4), keepdim=True)
    return (x - mean) / (x.var((0, 1, 3, 4), unbiased=False, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize(("inputs", "width", "stride"), [(4, 4, 1), (4, 6, 1), (4, 4, 2), (4, 8, 2)])
@pytest.mark.parametrize("pooled", [False, True])
def test_a_block_adds_two_spiking_convolutions_to_its_membrane_shortcut(
    inputs: int, width: int, stride: int, pooled: bool
) -> None:
    torch.manual_seed(0)
    lif = LIF(threshold=0.5)
    block = Block(inputs, width, stride, lambda: LIF(threshold=0.5), pooled).double()
    x = random_images(3, 2, inputs, 5, 7).double() * 2
    w1, w2 = block.conv1.weight, block.conv2.weight
    y = batch_norm(on_all_frames(lif(x), lambda frames: F.conv2d(frames, w1, stride=stride, padding=1)))
    y = batch_norm(on_all_frames(lif(y), lambda frames: F.conv2d(frames, w2, padding=1)))
    shortcut = x
    if block.shortcut is not None:
        (w3,) = (layer.weight for layer in block.shortcut if isinstance(layer, nn.Conv2d))
        if pooled and stride == 2:
            shortcut = on_all_frames(x, lambda frames: F.avg_pool2d(frames, 2, ceil_mode=True))
            shortcut = on_all_frames(shortcut, lambda frames: F.conv2d(frames, w3))
        else:
            shortcut = on_all_frames(x, lambda frames: F.conv2d(frames, w3, stride=stride))
        shortcut = batch_norm(shortcut)
    assert (block.shortcut is None) == (stride == 1 and inputs == width)
    close(block(x), y + shortcut)


def test_the_head_is_the_mean_of_spikes_and_a_linear_layer_at_every_step() -> None:
    head = Head(6, 4, LIF, dropout=0.0).double()
    x = random_images(3, 2, 6, 4, 5).double() * 2
    spikes = LIF()(x)
    logits = head(x)
    assert logits.shape == (2, 3, 4)
    for t in range(3):
        close(logits[:, t], spikes[t].sum((2, 3)) / 20 @ head.linear.weight.T + head.linear.bias)


def test_dropout_in_the_head_is_that_of_the_features_mean_over_time() -> None:
    head = Head(40, 3, LIF, dropout=0.2).double()
    head.linear = nn.Linear(40, 40, bias=False).double()
    nn.init.eye_(head.linear.weight)
    x = torch.full((4, 2, 40, 1, 1), 9.0, dtype=torch.float64)
    features = head(x)
    assert torch.equal(features, features[:, :1].expand_as(features))
    assert set(features.unique().tolist()) == {0, 1.25}
    assert not torch.equal(features[0], features[1])
    assert set(head.eval()(x).unique().tolist()) == {1}


@pytest.mark.parametrize(("layout", "side"), [("cifar", 8), ("imagenet", 32)])
@pytest.mark.parametrize("encoder", ["gac", "direct"])
def test_a_prediction_depends_on_its_own_image_alone(layout: str, side: int, encoder: str) -> None:
    model = tiny(layout, encoder=encoder).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.5)
    images = random_images(5, 3, side, side).double()
    model(images)  # running statistics that are not those of the start
    model.eval()
    together = model(images)
    assert not torch.allclose(together[0], together[1])
    close(model(images[2:3]), together[2:3])
    close(model(images.flip(0)).flip(0), together)
    close(model(images), together)


def norms(model: nn.Module) -> dict[str, Tensor]:
    return {name: m.weight for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}


def test_cifar_networks_start_with_pytorch_weights() -> None:
    model = tiny()
    assert all((weight == 1).all() for weight in norms(model).values())
    for conv in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        bound = 1 / math.sqrt(conv.in_channels * conv.kernel_size[0] ** 2)
        assert 0.8 * bound < conv.weight.abs().max() <= bound


def test_imagenet_networks_start_with_normal_weights_and_silent_residuals() -> None:
    model = tiny("imagenet")
    assert {name.rpartition(".")[2] for name, weight in norms(model).items() if (weight == 0).all()} == {"bn2"}
    for name, weight in norms(model).items():
        assert (weight == (0 if name.endswith("bn2") else 0.5)).all(), name
    for conv in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        std = math.sqrt(2 / (conv.out_channels * conv.kernel_size[0] ** 2))
        tolerance = 4 / math.sqrt(2 * conv.weight.numel())
        assert conv.weight.std().item() == pytest.approx(std, rel=tolerance)
        # Normal, not uniform: a uniform weight stays within 1.73 standard deviations.
        assert conv.weight.numel() < 100 or conv.weight.abs().max() > 2 * std


@pytest.mark.parametrize("layout", ["cifar", "imagenet"])
def test_every_neuron_of_a_network_has_the_constants_of_its_layout(layout: str) -> None:
    neurons = [module for module in tiny(layout).modules() if isinstance(module, LIF)]
    assert len(neurons) == 1 + 2 * 8 + 1
    for neuron in neurons:
        assert {name: getattr(neuron, name) for name in NEURONS[layout]} == NEURONS[layout]


def test_neuron_and_stages_can_be_replaced() -> None:
    model = create_model(
        "resnet18", T=1, num_classes=2, width=0.5, stages=[[8, 1, 2], [12, 2, 1]], neuron={"threshold": 0.75}
    )
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    found = [(block.conv1.in_channels, block.conv1.out_channels, block.conv1.stride[0]) for block in blocks]
    assert found == [(32, 4, 2), (4, 6, 1), (6, 6, 1)]
    assert {module.threshold for module in model.modules() if isinstance(module, LIF)} == {0.75}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "resnet19"}, "did you mean resnet1"),
        ({"layout": "cifra"}, "did you mean cifar"),
        ({"encoder": "gacc"}, "did you mean gac"),
        ({"T": 0}, "T=0"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"width": 0.0}, r"width=0\.0"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused_by_name(wrong: dict[str, object], words: str) -> None:
    options: dict[str, object] = {"name": "resnet18", "T": 2, "num_classes": 2, **wrong}
    with pytest.raises(InputError, match=words):
        create_model(**options)  # type: ignore[arg-type]
