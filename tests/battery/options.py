"""Every option with values that it cannot have, and every group with choices that there are not."""

from collections.abc import Iterator
from typing import Any

from battery.driver import Case
from program import composed

# Command lines whose configs have, together, nearly every option.
WHOLE = (
    (),
    (
        "dataset=image_folder",
        "dataset.root=images",
        "optimizer=sgd",
        "scheduler=step",
        "encoder=latency",
        "augmentation=cutmix",
    ),
    ("task=evaluate", "checkpoint=x.pt"),
)
NUMBERS = ("-1", "nan", "abc", "[]")
MORE_NUMBERS = ("1e999", "-inf", "{a:1}", "true", "''", "[1,2]", "0x10", "1_0_", "٣", "1;2", "--1")
WORDS = ("nonsense", "3", "[a]", "null", "' '")
SWITCHES = ("maybe", "3", "null", "[true]")

# Numbers that are null unless they are given.
ABSENT = (
    *("hardware.threads", "hardware.workers", "max_steps", "max_minutes"),
    *("limit_train", "limit_eval", "report.tolerance", "keep_checkpoints"),
)
TEXTS = ("output_dir", "resume", "rerun", "checkpoint", "study", "runs", "dataset.root", "plan")
LISTS = ("dataset.mean", "dataset.std", "model.stages", "optimizer.betas")
# A choice of a group, which is not set by its name.
CHOSEN = ("name", "layout")

GROUPS = (
    *(
        [
            "dataset",
            "model",
            "encoder",
            "neuron",
            "loss",
            "augmentation",
            "optimizer",
            "scheduler",
            "hardware",
            "energy",
            "task",
        ]
    ),
    *(["experiment", "preset", "report"]),
)


def leaves(options: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{within}{name}.")
        else:
            yield within + name, value


def wrong_values(name: str, value: Any) -> tuple[str, ...]:
    if name in ABSENT:
        return NUMBERS
    if name in (*TEXTS, *LISTS) or name.rpartition(".")[2] in CHOSEN:
        return ()
    if isinstance(value, bool):
        return SWITCHES
    if isinstance(value, int | float):
        return (*NUMBERS, "null") if name != "save_every_minutes" else NUMBERS
    return WORDS if isinstance(value, str) else ()


def of_options() -> Iterator[Case]:
    seen: set[str] = set()
    for arguments in WHOLE:
        for name, value in leaves(composed(*arguments)):
            if name in seen:
                continue
            seen.add(name)
            for wrong in wrong_values(name, value):
                yield Case((*arguments, f"{name}={wrong}"), name)


def of_numbers() -> Iterator[Case]:
    for name in ("T", "optimizer.lr", "batch_size"):
        for wrong in MORE_NUMBERS:
            yield Case((f"{name}={wrong}",), name)


def of_lists() -> Iterator[Case]:
    for name, wrong in (
        *(
            ("dataset.mean", each)
            for each in ("3", "[1]", "[a,b,c]", "[0.1,0.1,0.1,0.1]", "[-1,0,0]", "[nan,0,0]", "{r:1}")
        ),
        *(("dataset.std", each) for each in ("[0,0,0]", "[-1,1,1]", "1")),
        *(
            ("model.stages", each)
            for each in ("[[]]", "[[64,1]]", "[[0,1,1]]", "[[64,0,1]]", "[[64,1,0]]", "3", "[[a,b,c]]")
        ),
        *(("optimizer.betas", each) for each in ("[1.5,0.9]", "[0.9]", "0.9", "[-1,0.9]", "[a,b]")),
    ):
        yield Case((f"{name}={wrong}",), name)


def of_groups() -> Iterator[Case]:
    for group in GROUPS:
        for wrong in ("nonsense", "../x", "null", "3"):
            yield Case((f"{group}={wrong}",), group)


CASES = [*of_options(), *of_numbers(), *of_lists(), *of_groups()]
