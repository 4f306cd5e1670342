"""The networks against SPEC section 3: sizes, shapes, what a block computes, starting weights, and two beside the paper's."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import MAX_NEURON, close, constants, random_images, small, trains
from torch import Tensor, nn

from gacsnn import draws
from gacsnn.batchnorm import BatchNorm2d
from gacsnn.errors import InputError
from gacsnn.models import Block, Head, SpikingResNet, create_model
from gacsnn.networks import LAYOUTS
from gacsnn.neuron import LIF, NEURONS


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
    assert shapes(small("resnet18", T=3), 16) == expected


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", [2, 2, 2, 2]), ("resnet34", [3, 4, 6, 3])])
def test_imagenet_blocks_have_the_shapes_of_the_table(name: str, blocks: list[int]) -> None:
    expected = [(2, 2, 4, 32, 32)]
    for index, count in enumerate(blocks):
        side = 16 >> index
        expected += [(2, 2, 4 << index, side, side)] * count
    assert shapes(small(name, layout="imagenet"), 64) == expected


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
    assert shortcuts(small("resnet18")) == [wider, "", "", smaller, "", "", smaller, ""]
    assert shortcuts(small("resnet18", layout="imagenet")) == [smaller, ""] * 4
    pooled = "AvgPool2d conv1/1 BatchNorm2d"
    deep = shortcuts(small("resnet104", layout="imagenet"))
    assert deep == [pooled, *[""] * 2, pooled, *[""] * 7, pooled, *[""] * 31, pooled, *[""] * 7]
    # Where the width alone changes there is nothing to pool.
    assert shortcuts(small("resnet104")) == [wider, *[""] * 10, pooled, *[""] * 31, pooled, *[""] * 7]


def test_the_deep_networks_alone_have_dropout() -> None:
    dropped = {
        (layout, name): small(name, layout=layout).head.dropout.p
        for layout, kind in LAYOUTS.items()
        for name in kind.networks
    }
    deep = {("cifar", "resnet104"), ("imagenet", "resnet104")}
    assert dropped == {key: 0.2 if key in deep else 0.0 for key in dropped}


def test_the_stem_of_resnet104_is_three_convolutions_with_biases() -> None:
    convs = [layer for layer in small("resnet104", layout="imagenet").encoder.stem if isinstance(layer, nn.Conv2d)]
    found = [(conv.kernel_size, conv.stride, conv.bias is not None) for conv in convs]
    assert found == [((3, 3), (2, 2), True), ((3, 3), (1, 1), True), ((3, 3), (1, 1), True)]


def test_only_the_stem_of_resnet104_and_the_head_have_biases() -> None:
    for layout in ("cifar", "imagenet"):
        model = small("resnet18", layout=layout)
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


@pytest.mark.parametrize("keys", [None, torch.arange(2)])
def test_dropout_in_the_head_is_that_of_the_features_mean_over_time(keys: Tensor | None) -> None:
    head = Head(40, 3, LIF, dropout=0.2).double()
    head.linear = nn.Linear(40, 40, bias=False).double()
    nn.init.eye_(head.linear.weight)
    x = torch.full((4, 2, 40, 1, 1), 9.0, dtype=torch.float64)
    with draws.keyed(keys):
        features = head(x)
    assert torch.equal(features, features[:, :1].expand_as(features))
    assert set(features.unique().tolist()) == {0, 1.25}
    assert not torch.equal(features[0], features[1])
    assert set(head.eval()(x).unique().tolist()) == {1}


@pytest.mark.parametrize(("layout", "side"), [("cifar", 8), ("imagenet", 32)])
@pytest.mark.parametrize("encoder", ["gac", "direct"])
def test_a_prediction_depends_on_its_own_image_alone(layout: str, side: int, encoder: str) -> None:
    model = small("resnet18", encoder, layout).double()
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
    model = small("resnet18")
    assert all((weight == 1).all() for weight in norms(model).values())
    for conv in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        bound = 1 / math.sqrt(conv.in_channels * conv.kernel_size[0] ** 2)
        assert 0.8 * bound < conv.weight.abs().max() <= bound


def test_imagenet_networks_start_with_normal_weights_and_silent_residuals() -> None:
    model = small("resnet18", layout="imagenet")
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
    neurons = [module for module in small("resnet18", layout=layout).modules() if isinstance(module, LIF)]
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


def blocks_of(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]


def trace(model: nn.Module, images: Tensor) -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """Every layer that is called, in order, with the shape of what it gives."""
    called: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def note(name: str) -> object:
        return lambda module, _inputs, output: called.append((name, module, tuple(output.shape)))

    for name, module in model.named_modules():
        if not list(module.children()) or isinstance(module, Block):
            module.register_forward_hook(note(name))  # type: ignore[arg-type]
    model(images)
    return called


# Max-ResNet-18


def test_max_resnet18_pools_in_each_block_that_changes_resolution_and_only_there() -> None:
    found = [
        (block.conv1.in_channels, block.conv1.out_channels, block.conv1.stride[0], block.conv2.stride[0], block.pool)
        for block in blocks_of(small("max_resnet18", width=1.0))
    ]
    widths = [(64, 128), (128, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512), (512, 512)]
    assert [row[:2] for row in found] == widths
    assert [row[2:4] for row in found] == [(1, 1)] * 8, "the pool halves, no convolution of the main path does"
    pools = {index: row[4] for index, row in enumerate(found) if isinstance(row[4], nn.MaxPool2d)}
    assert sorted(pools) == [3, 6]
    assert {(pool.kernel_size, pool.stride, pool.padding) for pool in pools.values()} == {(3, 2, 1)}
    assert not any(isinstance(block.pool, nn.MaxPool2d) for block in blocks_of(small("resnet18")))


@pytest.mark.parametrize("encoder", ["gac", "direct"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
def test_the_layers_of_such_a_block_in_their_order(encoder: str, size: tuple[int, int]) -> None:
    model = small("max_resnet18", encoder)
    height, width = (-(-side // 2) for side in size)
    layers = [row for row in trace(model, random_images(1, 3, *size)) if row[0].startswith("stages.1.0.")]
    main = [(type(module), shape) for name, module, shape in layers if ".shortcut." not in name]
    assert main == [
        (LIF, (2, 1, 8, *size)),
        (nn.Conv2d, (2, 16, *size)),
        (BatchNorm2d, (2, 16, *size)),
        (nn.MaxPool2d, (2, 16, height, width)),
        (LIF, (2, 1, 16, height, width)),
        (nn.Conv2d, (2, 16, height, width)),
        (BatchNorm2d, (2, 16, height, width)),
    ]
    shortcut = [(type(module), shape) for name, module, shape in layers if ".shortcut." in name]
    assert shortcut == [(nn.Conv2d, (2, 16, height, width)), (BatchNorm2d, (2, 16, height, width))]


def test_a_pooled_block_computes_what_its_description_says() -> None:
    torch.manual_seed(0)
    block = Block(4, 6, 2, lambda: LIF(threshold=0.3), max_pool=True).double().eval()
    for norm in (block.bn1, block.bn2, block.shortcut[1]):
        nn.init.normal_(norm.running_mean, 0, 0.3)
        nn.init.normal_(norm.weight, 1, 0.3)
        nn.init.normal_(norm.bias, 0, 0.3)
    x = 2 * random_images(3, 2, 4, 5, 8).double()

    def normed(y: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    y = torch.stack([normed(F.conv2d(step, block.conv1.weight, padding=1), block.bn1) for step in block.lif1(x)])
    padded = F.pad(y, (1, 1, 1, 1), value=-torch.inf)
    pooled = torch.stack(
        [padded[..., i : i + 6 : 2, j : j + 8 : 2][..., :3, :4] for i in range(3) for j in range(3)]
    ).amax(dim=0)
    y = torch.stack([normed(F.conv2d(step, block.conv2.weight, padding=1), block.bn2) for step in block.lif2(pooled)])
    assert block.shortcut is not None
    around = torch.stack(
        [normed(F.conv2d(step[..., ::2, ::2], block.shortcut[0].weight), block.shortcut[1]) for step in x]
    )
    torch.testing.assert_close(block(x), y + around, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("encoder", ["gac", "direct"])
def test_max_resnet18_has_its_own_neuron_and_starts_its_batch_norms_at_one(encoder: str) -> None:
    model = small("max_resnet18", encoder)
    assert constants(model) == {tuple(MAX_NEURON.values())}
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1 + 8 * 2 + 3
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)
    assert constants(small("resnet18", encoder)) == {(0.5, 1.0, False)}, "resnet18 keeps its own"
    assert constants(small("max_resnet18", encoder, neuron={"threshold": 0.7})) == {(0.5, 0.7, False)}


@pytest.mark.parametrize("encoder", ["gac", "direct", "latency"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 1)])
def test_max_resnet18_trains_on_images_of_any_size(encoder: str, size: tuple[int, int]) -> None:
    trains(small("max_resnet18", encoder), size)


def test_max_resnet18_has_the_weights_of_resnet18() -> None:
    with torch.device("meta"):
        ours, plain = (small(name, T=6, width=1.0) for name in ("max_resnet18", "resnet18"))
    assert {name: p.shape for name, p in ours.state_dict().items()} == {
        name: p.shape for name, p in plain.state_dict().items()
    }


def test_max_resnet18_is_not_for_the_imagenet_layout() -> None:
    with pytest.raises(InputError, match="model=max_resnet18: there is none in the layout imagenet"):
        small("max_resnet18", layout="imagenet")


# MS-ResNet-104


@pytest.mark.parametrize("encoder", ["gac", "direct"])
def test_resnet104_has_51_blocks_after_a_stem_of_three(encoder: str) -> None:
    model = small("resnet104", encoder, "imagenet", T=1, width=1 / 32)
    assert [len(stage) for stage in model.stages] == [3, 8, 32, 8]
    shapes = {name: shape for name, _, shape in trace(model.eval(), random_images(1, 3, 64, 64))}
    assert [shapes[f"encoder.stem.{index}"][2:] for index in range(3)] == [(32, 32)] * 3
    assert [shapes[f"stages.{index}.0"] for index in range(4)] == [(1, 1, 2 << i, 16 >> i, 16 >> i) for i in range(4)]
    assert [len(blocks_of(stage)) * 2 for stage in model.stages] == [
        6,
        16,
        64,
        16,
    ]  # 3 + 102 convolutions without these
    assert constants(model) == {(0.25, 0.5, True)}
    assert model.head.dropout.p == 0.2


@pytest.mark.parametrize("encoder", ["gac", "direct"])
@pytest.mark.parametrize("size", [(32, 32), (33, 45)])
def test_resnet104_trains_on_even_and_odd_sizes(encoder: str, size: tuple[int, int]) -> None:
    trains(small("resnet104", encoder, "imagenet", width=1 / 32), size)


def test_resnet104_has_the_parameters_of_its_table() -> None:
    counts = {}
    for encoder in ("gac", "direct"):
        with torch.device("meta"):
            model = create_model("resnet104", T=4, num_classes=1000, encoder=encoder, layout="imagenet")
        counts[encoder] = sum(parameter.numel() for parameter in model.parameters())
    stem = 3 * 64 * 9 + 64 + 2 * (64 * 64 * 9 + 64) + 2 * 64
    stages, channels = 0, 64
    for width, count in ((64, 3), (128, 8), (256, 32), (512, 8)):
        stages += channels * width + 2 * width  # the shortcut of the first block
        for _ in range(count):
            stages += 9 * channels * width + 9 * width * width + 4 * width
            channels = width
    assert counts["direct"] == stem + stages + 512 * 1000 + 1000
    assert counts["gac"] - counts["direct"] == 2 * 64 * 64 * 16 + 2 * 4 * 2
