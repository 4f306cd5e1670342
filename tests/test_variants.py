"""Networks beside the paper's own rows, options that readers argue about, and the preset of the released programs."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, Launch
from test_conf import config
from torch import Tensor, nn

from gacsnn.config.saved import load
from gacsnn.config.schema import Config, Train
from gacsnn.data.mixing import Draw
from gacsnn.encoders import GAC
from gacsnn.errors import InputError
from gacsnn.models import Block, SpikingResNet, create_model
from gacsnn.neuron import LIF
from gacsnn.run import run
from gacsnn.training import trainer as trainer_module
from gacsnn.training.trainer import Trainer

MAX_NEURON = {"decay": 0.5, "threshold": 1.0, "detach_reset": True}
PAPER_NEURON = {"decay": 0.25, "threshold": 0.5, "detach_reset": False}


def random_images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def built(name: str, encoder: str = "gac", layout: str = "cifar", T: int = 2, **options: object) -> SpikingResNet:
    torch.manual_seed(0)
    settings: dict[str, object] = {"width": 1 / 16, **options}
    return create_model(name, T=T, num_classes=5, encoder=encoder, layout=layout, **settings)  # type: ignore[arg-type]


def of_config(chosen: Config, classes: int = 10, width: float | None = None) -> SpikingResNet:
    """The network that a run of this config builds."""
    return create_model(
        chosen.model.name,
        T=chosen.T,
        num_classes=classes,
        encoder=chosen.encoder.name,
        layout=chosen.model.layout,
        width=chosen.model.width if width is None else width,
        stages=chosen.model.stages,
        neuron=chosen.neuron.model_dump(),
        encoder_options=chosen.encoder.model_dump(exclude={"name"}),
    )


def blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]


def constants(model: nn.Module) -> set[tuple[float, float, bool]]:
    """(decay, threshold, detach_reset) of every neuron of the network."""
    return {(m.decay, m.threshold, m.detach_reset) for m in model.modules() if isinstance(m, LIF)}


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


def trains(model: SpikingResNet, size: tuple[int, int]) -> None:
    """A forward and backward pass: shapes, finite numbers, a gradient for every parameter."""
    logits = model(random_images(2, 3, *size))
    assert logits.shape == (2, model.T, 5)
    F.cross_entropy(logits.mean(dim=1), torch.tensor([0, 1])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


# Max-ResNet-18


def test_max_resnet18_pools_in_each_block_that_changes_resolution_and_only_there() -> None:
    found = [
        (block.conv1.in_channels, block.conv1.out_channels, block.conv1.stride[0], block.conv2.stride[0], block.pool)
        for block in blocks(built("max_resnet18", width=1.0))
    ]
    widths = [(64, 128), (128, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512), (512, 512)]
    assert [row[:2] for row in found] == widths
    assert [row[2:4] for row in found] == [(1, 1)] * 8, "the pool halves, no convolution of the main path does"
    pools = {index: row[4] for index, row in enumerate(found) if isinstance(row[4], nn.MaxPool2d)}
    assert sorted(pools) == [3, 6]
    assert {(pool.kernel_size, pool.stride, pool.padding) for pool in pools.values()} == {(3, 2, 1)}
    assert not any(isinstance(block.pool, nn.MaxPool2d) for block in blocks(built("resnet18")))


@pytest.mark.parametrize("encoder", ["gac", "direct"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
def test_the_layers_of_such_a_block_in_their_order(encoder: str, size: tuple[int, int]) -> None:
    model = built("max_resnet18", encoder)
    height, width = (-(-side // 2) for side in size)
    layers = [row for row in trace(model, random_images(1, 3, *size)) if row[0].startswith("stages.1.0.")]
    main = [(type(module), shape) for name, module, shape in layers if ".shortcut." not in name]
    assert main == [
        (LIF, (2, 1, 8, *size)),
        (nn.Conv2d, (2, 16, *size)),
        (nn.BatchNorm2d, (2, 16, *size)),
        (nn.MaxPool2d, (2, 16, height, width)),
        (LIF, (2, 1, 16, height, width)),
        (nn.Conv2d, (2, 16, height, width)),
        (nn.BatchNorm2d, (2, 16, height, width)),
    ]
    shortcut = [(type(module), shape) for name, module, shape in layers if ".shortcut." in name]
    assert shortcut == [(nn.Conv2d, (2, 16, height, width)), (nn.BatchNorm2d, (2, 16, height, width))]


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
    model = built("max_resnet18", encoder)
    assert constants(model) == {tuple(MAX_NEURON.values())}
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1 + 8 * 2 + 3
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)
    assert constants(built("resnet18", encoder)) == {(0.5, 1.0, False)}, "resnet18 keeps its own"
    assert constants(built("max_resnet18", encoder, neuron={"threshold": 0.7})) == {(0.5, 0.7, False)}


@pytest.mark.parametrize("encoder", ["gac", "direct", "latency"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 1)])
def test_max_resnet18_trains_on_images_of_any_size(encoder: str, size: tuple[int, int]) -> None:
    trains(built("max_resnet18", encoder), size)


def test_max_resnet18_has_the_weights_of_resnet18() -> None:
    with torch.device("meta"):
        ours, plain = (built(name, T=6, width=1.0) for name in ("max_resnet18", "resnet18"))
    assert {name: p.shape for name, p in ours.state_dict().items()} == {
        name: p.shape for name, p in plain.state_dict().items()
    }


@pytest.mark.parametrize(
    ("overrides", "neuron"),
    [
        (("model=max_resnet18",), MAX_NEURON),
        (("dataset=cifar10", "model=max_resnet18"), MAX_NEURON),
        (("model=max_resnet18", "dataset=cifar100"), MAX_NEURON),
        (("experiment=cifar100_gac_r18_t6", "model=max_resnet18"), MAX_NEURON),
        (("experiment=cifar10_gac_r18_t4", "model=max_resnet18", "encoder=direct"), MAX_NEURON),
        (("dataset=cifar10", "model=max_resnet18", "neuron=paper"), PAPER_NEURON),
        (
            ("experiment=cifar10_gac_r18_t4", "model=max_resnet18", "neuron=cifar"),
            {**MAX_NEURON, "detach_reset": False},
        ),
        (("dataset=cifar10", "model=resnet18"), {**MAX_NEURON, "detach_reset": False}),
    ],
)
def test_max_resnet18_brings_its_neuron_and_the_command_line_has_the_last_word(
    overrides: tuple[str, ...], neuron: dict[str, object]
) -> None:
    chosen = config(*overrides)
    assert chosen.neuron.model_dump().items() >= neuron.items()
    assert constants(of_config(chosen, width=1 / 16)) == {tuple(neuron.values())}


def test_max_resnet18_is_not_for_the_imagenet_layout() -> None:
    with pytest.raises(InputError, match="model=max_resnet18: there is none in the layout imagenet"):
        built("max_resnet18", layout="imagenet")


def test_max_resnet18_is_trained_and_measured_again_from_the_command_line(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "model=max_resnet18", "model.width=0.05", "output_dir=run").code == 0
    assert load(tmp_path / "run" / "config.yaml").neuron.detach_reset
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "limit_eval=32", "output_dir=again")
    assert launch(*arguments).code == 0
    trained, measured = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("run", "again"))
    assert (measured["model"], measured["loss"]) == ("max_resnet18", trained["loss"])


# MS-ResNet-104


@pytest.mark.parametrize("encoder", ["gac", "direct"])
def test_resnet104_has_51_blocks_after_a_stem_of_three(encoder: str) -> None:
    model = built("resnet104", encoder, "imagenet", T=1, width=1 / 32)
    assert [len(stage) for stage in model.stages] == [3, 8, 32, 8]
    shapes = {name: shape for name, _, shape in trace(model.eval(), random_images(1, 3, 64, 64))}
    assert [shapes[f"encoder.stem.{index}"][2:] for index in range(3)] == [(32, 32)] * 3
    assert [shapes[f"stages.{index}.0"] for index in range(4)] == [(1, 1, 2 << i, 16 >> i, 16 >> i) for i in range(4)]
    assert [len(blocks(stage)) * 2 for stage in model.stages] == [6, 16, 64, 16]  # 3 + 102 convolutions without these
    assert constants(model) == {(0.25, 0.5, True)}
    assert model.head.dropout.p == 0.2


@pytest.mark.parametrize("encoder", ["gac", "direct"])
@pytest.mark.parametrize("size", [(32, 32), (33, 45)])
def test_resnet104_trains_on_even_and_odd_sizes(encoder: str, size: tuple[int, int]) -> None:
    trains(built("resnet104", encoder, "imagenet", width=1 / 32), size)


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


# Parameters of the published rows, as the command line composes them


@pytest.mark.parametrize(
    ("experiment", "classes", "exact", "millions"),
    [
        ("cifar10_gac_r18_t6", 10, 12_633_198, 12.63),
        ("cifar10_gac_r18_t4", 10, 12_633_198 - 2 * 18 + 2 * 8, 12.63),
        ("cifar10_gac_r18_t2", 10, 12_633_198 - 2 * 18 + 2 * 2, 12.63),
        ("cifar100_gac_r18_t6", 100, 12_633_198 + 90 * 513, 12.68),
        ("imagenet_gac_r18_t4", 1000, None, 11.82),
        ("imagenet_gac_r18_t6", 1000, None, 11.82),
        ("imagenet_gac_r34_t4", 1000, None, 21.93),
        ("imagenet_gac_r34_t6", 1000, None, 21.93),
    ],
)
def test_the_rows_of_the_tables_have_their_published_parameters(
    experiment: str, classes: int, exact: int | None, millions: float
) -> None:
    with torch.device("meta"):
        model = of_config(config(f"experiment={experiment}"), classes)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert exact in (None, count)
    assert round(count / 1e6, 2) == millions


# Options that readers argue about


def test_the_papers_neuron_is_a_choice_of_its_own() -> None:
    chosen = config("experiment=cifar10_gac_r18_t4", "neuron=paper")
    assert (chosen.neuron.surrogate, chosen.neuron.surrogate_width) == ("triangle", 1.0)
    model = of_config(chosen, classes=5, width=1 / 16)
    assert constants(model) == {tuple(PAPER_NEURON.values())}
    trains(model, (8, 8))


@pytest.mark.parametrize("layout", ["cifar", "imagenet"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (33, 20)])
@pytest.mark.parametrize("gate", ["stem", "image"])
@pytest.mark.parametrize("kernel", [1, 3, 4, 8])
def test_any_kernel_and_gate_keep_the_size_of_the_stem(
    kernel: int, gate: str, size: tuple[int, int], layout: str
) -> None:
    model = built("resnet8", layout=layout, T=3, encoder_options={"kernel": kernel, "gate": gate}).eval()
    images = random_images(2, 3, *size)
    expected = size if layout == "cifar" else tuple(-(-side // 2) for side in size)
    assert model.encoder.stem(images).shape == (2, 4, *expected)
    assert model.encoder(images).shape == (3, 2, 4, *expected)
    assert model(images).shape == (2, 3, 5)


@pytest.mark.parametrize(("gate", "inputs"), [("stem", 4), ("image", 3)])
@pytest.mark.parametrize("kernel", [4, 8])
def test_the_kernel_is_that_of_both_convolutions_of_the_gate(kernel: int, gate: str, inputs: int) -> None:
    sca = built("resnet8", encoder_options={"kernel": kernel, "gate": gate}).encoder.spatial_channel
    assert sca.conv1.weight.shape == (4, inputs, kernel, kernel)
    assert sca.conv2.weight.shape == (4, 4, kernel, kernel)


def test_a_kernel_of_eight_sees_three_pixels_before_and_four_after() -> None:
    sca = built("resnet8", encoder_options={"kernel": 8}, width=1 / 64).encoder.spatial_channel
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
    model = built(name, layout=layout, T=3, encoder_options={"gate": "image"}).double().eval()
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
        encoder = built("resnet8", encoder_options={"gate": gate}).encoder.eval()
        nn.init.zeros_(encoder.stem[0].weight)
        nn.init.constant_(encoder.stem[1].bias, 3.0)  # every neuron fires
        for layer in (encoder.spatial_channel.conv1, encoder.spatial_channel.conv2, *encoder.temporal.mlp[::2]):
            nn.init.constant_(layer.weight, 0.01)
        one, other = encoder(random_images(1, 3, 8, 8).abs()), encoder(5 * random_images(1, 3, 8, 8).abs())
        assert torch.equal(one, other) != moves


def test_an_unknown_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="gate='both': choose one of stem, image"):
        built("resnet8", encoder_options={"gate": "both"})


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "max_resnet18"])
def test_the_gates_variants_train(name: str) -> None:
    trains(built(name, encoder_options={"gate": "image", "kernel": 8}), (9, 7))


def test_the_gates_options_come_from_the_command_line_and_into_the_checkpoint(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "encoder.kernel=8", "encoder.gate=image", "neuron=paper", "output_dir=run").code == 0
    saved = load(tmp_path / "run" / "config.yaml")
    assert saved.encoder.model_dump() == {"name": "gac", "kernel": 8, "gate": "image"}
    weights = torch.load(tmp_path / "run" / "checkpoints" / "best.pt")["model"]
    assert weights["encoder.spatial_channel.conv1.weight"].shape == (3, 3, 8, 8)
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt")
    code, _, err = launch(*arguments, "encoder.kernel=4")
    assert (code, err.count("\n")) == (2, 1)
    assert "encoder.kernel is 8 there and 4 here" in err
    assert launch(*arguments, "limit_eval=32", "output_dir=again").code == 0
    trained, measured = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("run", "again"))
    assert measured["loss"] == trained["loss"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("encoder.gate=both", "encoder.gate=both: should be 'stem' or 'image'"),
        ("encoder.kernel=0", "encoder.kernel=0: should be greater than or equal to 1"),
        ("encoder.curve=log", "encoder.curve"),
    ],
)
def test_a_wrong_option_of_an_encoder_is_one_line(launch: Launch, argument: str, said: str) -> None:
    code, _, err = launch(argument)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


# The preset of the released programs


@pytest.mark.parametrize(
    ("experiment", "drawn_every"),
    [
        ("cifar10_gac_r18_t2", "epoch"),
        ("cifar10_gac_r18_t6", "epoch"),
        ("cifar100_gac_r18_t4", "epoch"),
        ("imagenet_gac_r18_t4", "batch"),
        ("imagenet_gac_r34_t6", "batch"),
    ],
)
def test_the_faithful_preset_changes_three_options_of_a_row_and_no_other(experiment: str, drawn_every: str) -> None:
    sound, faithful = config(f"experiment={experiment}"), config(f"experiment={experiment}", "preset=faithful")
    assert (sound.augmentation.drawn_every, sound.task.model_dump()) == (
        "batch",
        {"name": "train", "selected_by": "validation", "test": True},
    )
    assert sound.dataset.validation > 0
    assert faithful.augmentation.drawn_every == drawn_every
    assert faithful.dataset.validation == 0
    assert isinstance(faithful.task, Train)
    assert faithful.task.selected_by == "test"
    changed = faithful.model_copy(
        update={
            "augmentation": faithful.augmentation.model_copy(update={"drawn_every": "batch"}),
            "dataset": faithful.dataset.model_copy(update={"validation": sound.dataset.validation}),
            "task": sound.task,
        }
    )
    assert changed == sound


def test_the_command_line_has_the_last_word_over_the_preset() -> None:
    arguments = ("experiment=cifar10_gac_r18_t2", "preset=faithful")
    chosen = config(*arguments, "augmentation.drawn_every=batch", "dataset.validation=0.2", "T=8")
    assert (chosen.augmentation.drawn_every, chosen.dataset.validation, chosen.T) == ("batch", 0.2, 8)
    assert config("preset=faithful", "dataset=cifar100").augmentation.drawn_every == "epoch"
    assert config("preset=faithful").augmentation.drawn_every == "batch", "no released program trains on the digits"


@pytest.mark.parametrize(("every", "draws"), [("batch", 4), ("epoch", 0)])
def test_a_box_is_drawn_once_a_batch_or_left_alone_for_the_epoch(
    every: str, draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gacsnn.tasks.experiment import prepare

    prepared = prepare(config(*TINY, "augmentation=cutmix", f"augmentation.drawn_every={every}"))
    trainer = Trainer(prepared.model, prepared.config, prepared.machine, 64)
    trainer.drawn = Draw("cutmix", 0.5, 0.5, 0.5)
    count = []
    monkeypatch.setattr(trainer_module, "draw", lambda _augmentation: count.append(1) or Draw())
    for _ in range(4):
        trainer.step(random_images(4, 3, 8, 8), torch.arange(4))
    assert len(count) == draws
    assert trainer.drawn == (Draw() if draws else Draw("cutmix", 0.5, 0.5, 0.5))


FAITHFUL = (*TINY, "preset=faithful", "augmentation=cutmix", "augmentation.drawn_every=epoch", "epochs=3")


def test_a_faithful_run_says_that_the_test_split_picked_its_epoch(launch: Launch, tmp_path: Path) -> None:
    code, out, _ = launch(*FAITHFUL, "output_dir=run")
    assert code == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: (line["test_top1"], -line["test_loss"]))
    assert result["selected_by"] == (
        f"best top-1 on the TEST split (epoch {best['epoch']} of 3), as the released programs do"
    )
    assert result["top1"] == best["test_top1"]
    assert result["loss"] == best["test_loss"]
    assert result["last_epoch_top1"] == lines[-1]["test_top1"]
    assert result["validation_top1"] is None
    assert not any(key.startswith("validation") for line in lines for key in line)
    for said in ("64 training, 0 validation, 32 test images", "last epoch", "TEST split"):
        assert said in out


def faithful_config(folder: Path) -> Config:
    return config(*FAITHFUL, f"output_dir={folder}")


def test_a_faithful_run_gives_no_score_to_search_by(tmp_path: Path) -> None:
    assert run(faithful_config(tmp_path / "faithful"))["validation_top1"] is None
    sound = run(config(*TINY, f"output_dir={tmp_path / 'sound'}"))
    assert sound == json.loads((tmp_path / "sound" / "result.json").read_text())


def test_a_complete_faithful_run_that_is_resumed_gives_no_score_either(tmp_path: Path) -> None:
    chosen = faithful_config(tmp_path / "run")
    assert run(chosen)["validation_top1"] is None
    resumed = chosen.model_copy(update={"output_dir": None, "resume": str(tmp_path / "run")})
    assert run(resumed, ["resume"])["validation_top1"] is None


def test_a_faithful_run_goes_on_with_its_resume_alone(launch: Launch, tmp_path: Path) -> None:
    assert launch(*FAITHFUL, "epochs=3", "scheduler=constant", "output_dir=whole").code == 0
    assert launch(*FAITHFUL, "epochs=2", "scheduler=constant", "output_dir=part").code == 0
    assert launch("resume=part", "epochs=3").code == 0
    whole, part = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "part"))
    assert {k: part[k] for k in ("loss", "selected_by", "last_epoch_top1")} == {
        k: whole[k] for k in ("loss", "selected_by", "last_epoch_top1")
    }


def test_resuming_a_faithful_run_with_its_preset_named_again(launch: Launch) -> None:
    assert launch(*FAITHFUL, "output_dir=run").code == 0
    code, _, err = launch("resume=run", "preset=faithful", "epochs=4")
    assert code in (0, 2)
    assert err.count("\n") <= 1


@pytest.mark.parametrize("task", ["evaluate", "energy"])
def test_a_faithful_row_can_be_measured(task: str) -> None:
    chosen = config("experiment=cifar100_gac_r18_t6", "preset=faithful", f"task={task}", "checkpoint=FILE.pth")
    assert chosen.task.name == task
