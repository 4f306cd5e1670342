"""What makes two configs the same run."""

from collections.abc import Iterator
from typing import Any, get_args

from program import config
from pydantic import BaseModel

from gacsnn.config.merge import CHANGEABLE, config_hash, differences, flat, nested
from gacsnn.config.messages import validate
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config
from gacsnn.errors import InputError

# Configs that have every option between them.
EVERY = (
    (),
    ("dataset=cifar10", "encoder=latency", "optimizer=sgd", "scheduler=step", "loss=tet"),
    ("dataset=image_folder", "encoder=direct", "scheduler=constant", "task=evaluate", "checkpoint=c.pt"),
    ("dataset=synthetic", "task=study", "study=s"),
    ("dataset=synthetic", "task=benchmark"),
)

# What changes no result: where it is written, where its data lies, what it runs on, what is said of it.
ASIDE = {
    *(
        "output_dir",
        "resume",
        "rerun",
        "study",
        "runs",
        "plan",
        "plan_step_seconds",
        "plan_images",
        "plan_classes",
        "save_every_minutes",
        "keep_checkpoints",
    ),
    *(
        "task.name",
        "task.split",
        "task.test",
        "task.rounds",
        "report.tolerance",
        "energy.mac_pj",
        "energy.ac_pj",
        "energy.encoder",
    ),
    *("dataset.root", "dataset.download", "dataset.check_images"),
    *("hardware.device", "hardware.threads", "hardware.workers", "hardware.accumulate", "hardware.kernels"),
    "hardware.cuda_graphs",
}

# Options whose part in the hash hangs on more than their value.
OTHERWISE = {
    "max_minutes",  # how long a process works; stands in all hashes as null
    "dataset.measured",  # written by runs: what was measured is as good as not given
    "hardware.processes",  # where each has batch statistics of its own: `test_group.py`
}


def test_the_hash_names_what_is_run_and_not_where() -> None:
    same = [config(), config("output_dir=elsewhere"), config("hardware=cpu", "hardware.threads=1")]
    other = [config("seed=1"), config("T=2"), config("hardware.precision=bf16"), config("dataset.validation=0.2")]
    assert len({config_hash(c) for c in same}) == 1
    assert len({config_hash(c) for c in [*same, *other]}) == 5


def every_option(kind: Any = Config, prefix: str = "") -> Iterator[str]:
    """The schema's own list of what there is: `T`, `dataset.root`, ..."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        for variant in get_args(kind):
            yield from every_option(variant, prefix)
        return
    for name, field in kind.model_fields.items():
        inner = list(every_option(field.annotation, f"{prefix}{name}."))
        yield from inner or [prefix + name]


def words(kind: Any, key: str) -> set[str]:
    """What a dotted option may be where that is a few words."""
    first, _, rest = key.partition(".")
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {word for variant in get_args(kind) for word in words(variant, key)}
    if first not in kind.model_fields:
        return set()
    annotation = kind.model_fields[first].annotation
    return words(annotation, rest) if rest else {each for each in get_args(annotation) if isinstance(each, str)}


def others(key: str, value: Any) -> list[Any]:
    """What might be another value of an option."""
    chosen: list[Any] = sorted(word for word in words(Config, key) if word != value)
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value + 0.25, value / 2, 1 - value, *chosen]
    if isinstance(value, list):
        return [[each * 0.5 for each in value], [*value, "elsewhere"]]
    return [*chosen, "elsewhere", "resnet18", 3, 1.5, [0.5, 0.25, 0.125], [[8, 1, 1]], True]


def changed(given: Config, key: str) -> Config | None:
    """The config with another value of one option; None where that alone may have no other."""
    options = flat(to_dict(given))
    for value in others(key, options[key]):
        if value != options[key]:
            try:
                return validate(nested({**options, key: value}))
            except InputError:
                continue
    return None


def test_every_option_that_changes_a_result_changes_the_hash_and_no_other_does() -> None:
    seen = set()
    for chosen in EVERY:
        given = config(*chosen)
        for key in set(flat(to_dict(given))) - OTHERWISE:
            if (other := changed(given, key)) is not None:
                assert (config_hash(other) != config_hash(given)) == (key not in ASIDE), key
                seen.add(key)
    # Choices whose other options are not the same ones: these tell them apart.
    assert set(every_option()) - seen - OTHERWISE == {"scheduler.name", "loss.name"}


def test_what_may_change_of_a_run_that_goes_on_is_no_setting_of_its_training() -> None:
    how_long_and_on_what = {"epochs", "max_steps", "max_minutes", "hardware"}
    assert set(CHANGEABLE) - ASIDE == how_long_and_on_what


def test_what_differs_is_written_as_on_the_command_line() -> None:
    there, here = {"resume": None, "plan": True, "T": 1, "betas": [0.9, None]}, {"resume": "x", "plan": 1, "betas": []}
    assert differences(there, here) == (
        "resume is null there and x here, T is 1 there and missing here, betas is [0.9,null] there and [] here"
    )
    assert differences({"test": False}, {"test": True}) == "test is false there and true here"
