"""Every file in conf/ composes, is accepted by the schema and builds; the saved experiments say what the paper says."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gacsnn.config.merge import config_hash
from gacsnn.config.messages import validate
from gacsnn.config.saved import load, to_yaml
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.models import LAYOUTS, create_model
from gacsnn.neuron import NEURONS
from gacsnn.sweep.plugin import register

CONF = ROOT / "conf"
register()
CHOICES = sorted(
    f"{file.parent.name}={file.stem}" for file in CONF.glob("*/*.yaml") if file.parent.name != "experiment"
)
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF)):
        values: Any = OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True)
    return values


def config(*overrides: str) -> Config:
    return validate(composed(*overrides))


def build(config: Config, classes: int) -> torch.nn.Module:
    with torch.device("meta"):
        return create_model(
            config.model.name,
            T=config.T,
            num_classes=classes,
            encoder=config.encoder.name,
            layout=config.model.layout,
            width=config.model.width,
            neuron=config.neuron.model_dump(),
        )


@pytest.mark.parametrize("choice", [*CHOICES, *(f"experiment={name}" for name in EXPERIMENTS)])
def test_every_choice_composes_and_builds(choice: str) -> None:
    chosen = config(choice)
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


def test_a_saved_config_reads_back_the_same(tmp_path: Path) -> None:
    saved = config("dataset=cifar10", "model.stages=[[8,1,1],[16,1,2]]", "optimizer=adamw")
    (tmp_path / "config.yaml").write_text(to_yaml(saved))
    assert load(tmp_path / "config.yaml") == saved


def test_the_hash_names_what_is_run_and_not_where() -> None:
    same = [config(), config("output_dir=elsewhere"), config("hardware=cpu", "hardware.threads=1")]
    other = [config("seed=1"), config("T=2"), config("hardware.precision=bf16"), config("dataset.validation=0.2")]
    assert len({config_hash(c) for c in same}) == 1
    assert len({config_hash(c) for c in [*same, *other]}) == 5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["T=0"], "T=0: should be greater than or equal to 1"),
        (["T=six"], "T=six: should be a valid integer"),
        (["T=4.5"], "T=4.5: should be a valid integer"),
        (["optimizer.lr=-1"], "optimizer.lr=-1: should be greater than 0"),
        (["optimizer.lr=.nan"], "optimizer.lr=.nan"),
        (["batch_size=0"], "batch_size=0"),
        (["epochs=0"], "epochs=0"),
        (["seed=-1"], "seed=-1"),
        (["dataset.validation=1"], "dataset.validation=1: should be less than 1"),
        (["hardware.device=tpu"], "hardware.device=tpu: should be 'auto', 'cpu' or 'cuda'"),
        (["+model.wdith=2"], "model.wdith: no such option, did you mean model.width?"),
        (["~model"], "model: this option is missing"),
        (["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"], "nesterov=true needs momentum > 0"),
        (["augmentation=cutmix", "augmentation.mixup_probability=0.6"], "a batch is mixed one way"),
        (["dataset=cifar10", "dataset.std=[0,1,1]"], "dataset.std=[0, 1, 1]: each must be greater than 0"),
        (["dataset=image_folder", "dataset.size=64", "dataset.resize=32"], "resize=32 must be at least size=64"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        config(*overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
