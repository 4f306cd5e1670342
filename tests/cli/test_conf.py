"""Every file in conf/ composes, is accepted by the schema and builds; the saved experiments say what the paper says."""

import pytest
import torch
import yaml
from networks import MAX_NEURON, constants, of_config, trains
from program import ROOT, config

from gacsnn.config.schema import NETWORKS, Config, Train
from gacsnn.models import SpikingResNet
from gacsnn.networks import LAYOUTS
from gacsnn.neuron import NEURONS

CONF = ROOT / "conf"
CHOICES = sorted(
    f"{file.parent.name}={file.stem}" for file in CONF.glob("*/*.yaml") if file.parent.name != "experiment"
)
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
PAPER_NEURON = {"decay": 0.25, "threshold": 0.5, "detach_reset": False}


def build(chosen: Config, classes: int) -> SpikingResNet:
    with torch.device("meta"):
        return of_config(chosen, classes)


# A row of each layout; the others differ in T, in classes and in depth, and their parameters are counted below.
ROWS = ("cifar10_gac_r18_t2", "imagenet_gac_r18_t4")


@pytest.mark.parametrize(
    "choice",
    [
        *CHOICES,
        *(pytest.param(f"experiment={name}", marks=() if name in ROWS else pytest.mark.slow) for name in EXPERIMENTS),
    ],
)
def test_every_choice_composes_and_builds(choice: str) -> None:
    name = choice.removeprefix("model=")
    only_imagenet = choice.startswith("model=") and name not in NETWORKS["cifar"]
    chosen = config(choice, "dataset=imagenet") if only_imagenet else config(choice)
    images = torch.zeros(1, 3, 64, 64, device="meta")
    assert build(chosen, 10).eval()(images).shape == (1, chosen.T, 10)


def test_there_is_one_experiment_for_each_row_of_the_published_tables() -> None:
    cifar = {f"{data}_gac_r18_t{T}" for data in ("cifar10", "cifar100") for T in (2, 4, 6)}
    imagenet = {f"imagenet_gac_r{depth}_t{T}" for depth in (18, 34) for T in (4, 6)}
    assert set(EXPERIMENTS) == cifar | imagenet


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_sets_everything_that_the_paper_says_of_it(name: str) -> None:
    row = config(f"experiment={name}")
    data, encoder, depth, T = name.split("_")
    imagenet = data == "imagenet"
    assert (row.dataset.name, row.encoder.name, row.model.name, row.T) == (
        data, encoder, f"resnet{depth[1:]}", int(T[1:]),
    )  # fmt: skip
    assert row.model.layout == ("imagenet" if imagenet else "cifar")
    assert (row.model.width, row.model.stages) == (1.0, None)
    assert row.neuron.model_dump() == NEURONS[row.model.layout]
    assert (row.epochs, row.batch_size) == (250, 256 if imagenet else 64)
    assert row.optimizer.model_dump() == {
        "name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-5 if imagenet else 5e-5,
    }  # fmt: skip
    assert row.scheduler.model_dump() == {
        "name": "cosine", "interval": "epoch", "warmup_epochs": 0.0, "final_fraction": 0.0,
    }  # fmt: skip
    assert row.loss.model_dump() == {"name": "cross_entropy", "label_smoothing": 0.1 if imagenet else 0.0}
    assert (row.augmentation.cutmix_probability, row.augmentation.cutmix_alpha) == (1.0 if imagenet else 0.5, 1.0)
    assert row.augmentation.mixup_probability == 0
    assert row.hardware.precision == ("fp16" if imagenet else "fp32")
    augment = row.dataset.augment.model_dump()
    if imagenet:
        assert augment == {
            "crop_padding": 0, "flip": False, "rotation": 0.0, "resized_crop": True, "auto_augment": "imagenet",
        }  # fmt: skip
        assert (row.dataset.size, row.dataset.resize) == (224, 256)  # type: ignore[union-attr]
    else:
        assert augment == {
            "crop_padding": 4, "flip": True, "rotation": 0.0, "resized_crop": False, "auto_augment": "none",
        }  # fmt: skip
    mean, std = {
        "cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        "cifar100": ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
        "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    }[data]
    assert (row.dataset.mean, row.dataset.std) == (mean, std)


@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [(("experiment=cifar10_gac_r18_t6",), 12_633_198), (("experiment=imagenet_gac_r18_t4",), 11_824_824)],
)
def test_the_networks_of_the_table_have_their_published_size(overrides: tuple[str, ...], parameters: int) -> None:
    classes = 1000 if "imagenet" in overrides[0] else 10
    assert sum(p.numel() for p in build(config(*overrides), classes).parameters()) == parameters


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
    model = build(config(f"experiment={experiment}"), classes)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert exact in (None, count)
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize(
    "experiment", ["cifar10_gac_r18_t4", pytest.param("imagenet_gac_r18_t4", marks=pytest.mark.slow)]
)
def test_any_group_of_a_row_can_be_replaced(experiment: str) -> None:
    for group in ("optimizer", "augmentation", "loss", "scheduler", "encoder", "hardware"):
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            row = config(f"experiment={experiment}", f"{group}={file.stem}").model_dump()[group]
            assert row == config(f"{group}={file.stem}").model_dump()[group]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_neurons_of_conf_are_those_of_the_package(layout: str) -> None:
    assert yaml.safe_load((CONF / "neuron" / f"{layout}.yaml").read_text()) == NEURONS[layout]


def test_a_data_set_brings_the_neuron_of_its_layout_and_the_command_line_has_the_last_word() -> None:
    assert config("dataset=imagenet").neuron.threshold == 0.5
    assert config("dataset=imagenet", "neuron=cifar").neuron.threshold == 1.0
    assert config("dataset=imagenet", "model.layout=cifar").model.layout == "cifar"


def test_groups_and_options_mix() -> None:
    mixed = config("dataset=cifar100", "model=resnet34", "T=6", "optimizer=adamw", "hardware=cpu", "seed=3")
    assert (mixed.dataset.name, mixed.model.name, mixed.T) == ("cifar100", "resnet34", 6)
    assert (mixed.optimizer.name, mixed.hardware.device, mixed.seed) == ("adamw", "cpu", 3)


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


def test_the_papers_neuron_is_a_choice_of_its_own() -> None:
    chosen = config("experiment=cifar10_gac_r18_t4", "neuron=paper")
    assert (chosen.neuron.surrogate, chosen.neuron.surrogate_width) == ("triangle", 1.0)
    model = of_config(chosen, classes=5, width=1 / 16)
    assert constants(model) == {tuple(PAPER_NEURON.values())}
    trains(model, (8, 8))


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


@pytest.mark.parametrize("task", ["evaluate", "energy"])
def test_a_faithful_row_can_be_measured(task: str) -> None:
    chosen = config("experiment=cifar100_gac_r18_t6", "preset=faithful", f"task={task}", "checkpoint=FILE.pth")
    assert chosen.task.name == task
