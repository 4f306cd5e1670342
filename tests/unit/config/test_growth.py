"""A config that grows: options that are added and names that change cost no old run its hash or its readability."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from program import ROOT, composed, config
from pydantic import BaseModel, Field

from gacsnn import encoders, models, neuron
from gacsnn.config import schema
from gacsnn.config.merge import config_hash, identity
from gacsnn.config.messages import validate
from gacsnn.config.names import RENAMED, SCHEMA, renamed
from gacsnn.config.saved import from_saved, load, to_dict, to_saved, to_yaml
from gacsnn.config.schema import Config, Hardware, Options, option
from gacsnn.data import SOURCES
from gacsnn.errors import InputError
from gacsnn.run import TASKS
from gacsnn.training.losses import LOSSES
from gacsnn.training.optim import OPTIMIZERS


class LaterHardware(Hardware):
    rounding: int = option("batches whose gradients are added up before a step", default=1)


class LaterConfig(Config):
    """Tomorrow's schema: one more option in a group, one more beside the groups."""

    hardware: LaterHardware
    clip_gradients: float = Field(default=0.0)


def test_an_added_option_changes_no_hash_until_it_is_used() -> None:
    old = config()
    later = LaterConfig.model_validate(to_dict(old))
    assert identity(later) == identity(old)
    assert config_hash(later) == config_hash(old)
    used = LaterConfig.model_validate({**to_dict(old), "clip_gradients": 1.0})
    assert config_hash(used) != config_hash(old)
    inner = {**to_dict(old), "hardware": {**to_dict(old)["hardware"], "rounding": 2}}
    assert config_hash(LaterConfig.model_validate(inner)) != config_hash(old)


def first_names(values: dict[str, Any]) -> dict[str, Any]:
    """The same values as schema 1 wrote them."""
    for old, new in RENAMED[2].items():
        values = renamed(values, new, old)
    return values


@pytest.mark.parametrize("dataset", ["synthetic", "image_folder"])
def test_a_config_of_schema_1_is_read_under_todays_names(dataset: str, tmp_path: Path) -> None:
    today = config(f"dataset={dataset}")
    old = first_names(to_dict(today))
    assert set(old["dataset"]) - set(to_dict(today)["dataset"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    assert load(tmp_path / "config.yaml") == today
    assert not {new.partition(".")[2] for new in RENAMED[2].values()} & set(identity(today)["dataset"])


def test_a_saved_config_says_its_schema() -> None:
    assert yaml.safe_load(to_yaml(config()))["schema"] == SCHEMA
    assert from_saved(to_saved(config()), "here") == config()


@pytest.mark.parametrize("number", [SCHEMA + 1, 0, "2", None, True])
def test_a_schema_that_is_not_known_is_refused(number: object) -> None:
    with pytest.raises(InputError, match=rf"^here: of schema {number}, and this version of gacsnn reads 1 to {SCHEMA}"):
        from_saved({**to_saved(config()), "schema": number}, "here")


def test_every_step_from_schema_1_is_written() -> None:
    assert sorted(RENAMED) == list(range(2, SCHEMA + 1))


# What stands in several places is the same in all


def names(kind: Any, key: str) -> set[str]:
    """The values that a dotted option may have, where they are a few names: `optimizer.name` -> {sgd, adam, adamw}."""
    first, _, rest = key.partition(".")
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {name for variant in get_args(kind) if variant is not type(None) for name in names(variant, key)}
    if first not in kind.model_fields:
        return set()
    annotation = kind.model_fields[first].annotation
    return names(annotation, rest) if rest else set(get_args(annotation))


def test_the_neurons_of_conf_are_those_of_the_package() -> None:
    files = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "conf" / "neuron").glob("*.yaml")}
    assert files == neuron.NEURONS


def test_a_lif_without_arguments_is_the_cifar_neuron() -> None:
    lif = neuron.LIF()
    assert {name: getattr(lif, name) for name in neuron.NEURONS["cifar"]} == neuron.NEURONS["cifar"]


def test_surrogates_are_those_of_the_schema() -> None:
    assert names(schema.Neuron, "surrogate") == set(neuron.SURROGATES)


def test_networks_are_those_of_the_schema_and_of_conf() -> None:
    assert {layout: set(kind.networks) for layout, kind in models.LAYOUTS.items()} == {
        layout: set(networks) for layout, networks in schema.NETWORKS.items()
    }
    assert group_names("model") == {name for names in schema.NETWORKS.values() for name in names}


def group_names(group: str) -> set[str]:
    """The `name` that each file of a group of conf/ comes out with."""
    files = (ROOT / "conf" / group).glob("*.yaml")
    return {composed(f"{group}={file.stem}")[group]["name"] for file in files}


@pytest.mark.parametrize(
    ("group", "table"),
    [
        ("dataset", SOURCES),
        ("encoder", encoders.ENCODERS),
        ("optimizer", OPTIMIZERS),
        ("scheduler", ("cosine", "step", "constant")),
        ("loss", LOSSES),
        ("task", TASKS),
    ],
)
def test_names_are_the_same_in_schema_table_and_conf(group: str, table: object) -> None:
    assert names(Config, f"{group}.name") == set(table) == group_names(group)  # type: ignore[call-overload]


def leaves(node: Any, prefix: str) -> set[str]:
    if not isinstance(node, dict):
        return {prefix}
    return {leaf for name, value in node.items() for leaf in leaves(value, f"{prefix}.{name}")}


@pytest.mark.parametrize("file", sorted((ROOT / "conf").glob("*/*.yaml")), ids=lambda f: f"{f.parent.name}={f.stem}")
def test_a_file_of_conf_has_every_option_of_its_group(file: Path) -> None:
    """Else that option could not be named on the command line."""
    group = file.parent.name
    if group in ("experiment", "preset", "sweeps"):
        return
    values = composed(f"{group}={file.stem}")
    there = leaves(values[group], group)
    known = getattr(validate(values), group)
    assert isinstance(known, Options)
    wanted = leaves(known.model_dump(mode="json"), group) - {f"{group}.measured"}
    assert there == wanted
