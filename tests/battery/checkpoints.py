"""Checkpoints that are damaged, are something else, or hold something else."""

import gzip
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from battery.driver import Case, Prepare
from battery.images import both, kind, put
from battery.made import RUN

from gacsnn.training.checkpoint import serialise

BEST, LAST = "run/checkpoints/best.pt", "run/checkpoints/last.pt"
MEASURE = ("task=evaluate", f"checkpoint={BEST}", "output_dir=new")
FROM = (*RUN, "checkpoint=c.pt", "output_dir=new")
RESUME = ("resume=run", "epochs=3")


class Evil:
    """What a pickle runs when it is read: it would make a folder."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("code was run",)


def flipped(name: str, seed: int) -> Prepare:
    def do(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        bit = random.Random(seed).randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        put(bytes(content), name)(folder)

    return do


def cut(name: str, share: float) -> Prepare:
    def do(folder: Path) -> None:
        content = (folder / name).read_bytes()
        put(content[: int(share * len(content))], name)(folder)

    return do


def edited(change: Callable[[dict[str, Any]], object], *names: str) -> Prepare:
    """Checkpoints with another content, and the right checksum of it."""

    def do(folder: Path) -> None:
        for name in names:
            content = torch.load(folder / name, weights_only=True)
            change(content)
            put(bytes(serialise(content)), name)(folder)

    return do


def everywhere(change: Callable[[dict[str, Any]], object]) -> Prepare:
    """The same of all that a run might go on from."""

    def do(folder: Path) -> None:
        names = [str(path.relative_to(folder)) for path in (folder / "run/checkpoints").glob("*.pt")]
        edited(change, *names)(folder)

    return do


def without(*keys: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: [content.pop(key, None) for key in keys]


def within(key: str, **values: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[key].update(values)


def first_weight(make: Callable[[torch.Tensor], object]) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        name = next(iter(content["model"]))
        content["model"][name] = make(content["model"][name])

    return change


def saved(content: object) -> Prepare:
    return lambda folder: torch.save(content, folder / "c.pt")


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "c.pt", "w") as file:
        file.writestr("a.txt", "x")


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    **{
        f"without {key}": without(key)
        for key in ("model", "optimizer", "scheduler", "scaler", "train_state", "rng", "classes")
    },
    "without config": without("config"),
    "optimizer of another type": lambda content: content.update(optimizer=5),
    "optimizer without groups": lambda content: content["optimizer"].pop("param_groups"),
    "scheduler a list": lambda content: content.update(scheduler=[1]),
    "rng short": lambda content: content["rng"].update(cpu=content["rng"]["cpu"][:10]),
    "rng a text": lambda content: content["rng"].update(cpu="x"),
    "state with more": within("train_state", nope=3),
    "classes numbers": lambda content: content.update(classes=list(range(10))),
    "classes a text": lambda content: content.update(classes="abc"),
    "T of another network": lambda content: content["config"].update(T=3),
    "width of another network": lambda content: content["config"]["model"].update(width=0.1),
    "of a later schema": lambda content: content["config"].update(schema=99),
    "config a list": lambda content: content.update(config=[1]),
    "config with more": lambda content: content["config"].update(foo=3),
    "weight on meta": first_weight(lambda weight: torch.empty_like(weight, device="meta")),
    "weight a text": first_weight(lambda _weight: "x"),
    "weight of another shape": first_weight(lambda _weight: torch.ones(3)),
    "weight complex": first_weight(lambda weight: weight.to(torch.complex64)),
    "weight sparse": first_weight(lambda weight: weight.to_sparse()),
    "weight not a number": first_weight(lambda weight: weight * float("nan")),
    "weight missing": lambda content: content["model"].pop(next(iter(content["model"]))),
    "weight more": lambda content: content["model"].update(nope=torch.ones(1)),
    "weights none": lambda content: content.update(model={}),
}

OTHERS: dict[str, Prepare] = {
    "text": put(b"hello", "c.pt"),
    "empty": put(b"", "c.pt"),
    "gzip": put(gzip.compress(b"hello"), "c.pt"),
    "pickle": put(pickle.dumps({"a": 1}), "c.pt"),
    "pickle with code": put(pickle.dumps(Evil()), "c.pt"),
    "zip": zipped,
    "zip with code": saved({"format": "gacsnn-1", "model": Evil()}),
    "tensor": saved(torch.ones(2)),
    "list": saved([1, 2]),
    "module": saved(torch.nn.Linear(2, 2)),
    "other weights": saved(torch.nn.Linear(2, 2).state_dict()),
    "keys that are numbers": saved({1: torch.ones(2)}),
    "a later format": saved({"format": "gacsnn-99"}),
    "folder": kind("folder", "c.pt"),
    "fifo": kind("fifo", "c.pt"),
    "loop": kind("loop", "c.pt"),
    "zeros": kind("zeros", "c.pt"),
    "broken link": kind("broken link", "c.pt"),
}

CASES = [
    *(Case(MEASURE, BEST, prepare=flipped(BEST, seed)) for seed in range(12)),
    *(Case(MEASURE, BEST, prepare=cut(BEST, share)) for share in (0, 0.1, 0.5, 0.999)),
    # What is needed to measure, and what is not
    *(
        Case(MEASURE, BEST, prepare=edited(CHANGES[name], BEST))
        for name in CHANGES
        if name.startswith(("without model", "without config", "T of", "width", "of a later", "config", "weight"))
    ),
    # All that is needed to go on
    *(Case(RESUME, "run", prepare=everywhere(change)) for change in CHANGES.values()),
    *(
        Case(arguments, "c.pt", prepare=prepare)
        for prepare in OTHERS.values()
        for arguments in (("task=evaluate", "checkpoint=c.pt", "output_dir=new"), FROM)
    ),
    # The newest is damaged, the one before it is not
    *(
        Case(RESUME, "warning: ", code=0, prepare=prepare)
        for prepare in (flipped(LAST, 1), flipped(LAST, 2), cut(LAST, 0.5), put(b"", LAST), put(b"text", LAST))
    ),
    Case(RESUME, "run", prepare=both(put(b"x", LAST), put(b"x", "run/checkpoints/last-1.pt"))),
    Case(("task=energy", f"checkpoint={BEST}", "output_dir=new"), BEST, prepare=flipped(BEST, 77)),
    Case(("rerun=run", "output_dir=new"), "it is not compared", code=0, prepare=flipped(LAST, 78)),
    Case((*MEASURE, "T=3"), "T"),
    Case((*MEASURE, "model.width=0.1"), "model.width"),
    Case((*MEASURE, "model=resnet18"), "model"),
    Case((*MEASURE, "encoder=direct"), "encoder"),
    Case((*MEASURE, "neuron=imagenet"), "neuron"),
    Case((*MEASURE, "dataset=image_folder", "dataset.root=images", "dataset.size=16", "dataset.resize=16"), "classes"),
    Case((*MEASURE, "task.split=nope"), "task.split"),
    Case((*RUN, f"checkpoint={BEST}", "output_dir=new", "T=3"), "tied to T"),
]  # fmt: skip
