"""The end of a run that was run again (`rerun`): did it come out the same?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gacsnn.config.schema import Config, Train
from gacsnn.data.digest import Digests, changes
from gacsnn.errors import GacsnnError
from gacsnn.report.compare import (
    Recorded,
    circumstances_apart,
    figures_of_both,
    first_epoch_apart,
    identity_apart,
    recorded,
    said,
)
from gacsnn.runtime.console import log
from gacsnn.runtime.group import this_group
from gacsnn.runtime.run_dir import RunDirectory, missing_epochs, remove_leftovers
from gacsnn.tasks.experiment import Experiment
from gacsnn.training import checkpoint
from gacsnn.training.run_identity import other_run

# The figures that do not depend on which split was measured at the end, and those that the energy's constants make.
OF_TRAINING = ("params", "epochs", "steps", "validation_top1")
OF_ENERGY = ("energy_mj", "energy_full_mj", "energy_constants", "macs", "sops")


class DifferentError(GacsnnError):
    """What should have come out the same has not."""


def compare(config: Config, run_dir: RunDirectory) -> None:
    """Say whether the run in `run_dir` came out as the one that it repeats (`config.rerun`), where it repeats one.

    Raises:
        DifferentError: when nothing that names a run was changed, and a number is another one.
        InputError: when the run that is repeated is gone, or damaged.
    """
    if config.rerun is not None:
        source = config.rerun
        this_group().share(lambda: log.info(f"{'rerun':<13}{outcome(source, run_dir)}"))


def outcome(source: str, run_dir: RunDirectory) -> str:
    """What `compare` says."""
    there, here = recorded(RunDirectory(Path(source)), "rerun"), recorded(run_dir, "output_dir")
    other_images = images_apart(there, (here.result or {}).get("data"))
    if changed := identity_apart(there.config, here.config):
        inputs = "; ".join([said(changed), *other_images])
        return f"of {source}, but {inputs}; {top1s(there, here)}"
    compared, found = numbers(there, here)
    of_weights, weights = networks(there, here)
    differ = [*other_images, *found, *weights]
    if differ:
        raise DifferentError(f"rerun={source}: not the same: {'; '.join(differ)}; {explanation(there, here)}")
    compared += of_weights
    if not compared:
        return f"of {source}, which holds nothing to compare with"
    unfinished = f", as far as it got ({len(there.metrics)} of {there.config.epochs} epochs)"
    lacks = f"; {source} lacks {', '.join(missing)}" if (missing := missing_parts(there, here)) else ""
    return (
        f"the same as {source}, bit for bit{unfinished if there.result is None else ''}: {', '.join(compared)}{lacks}"
    )


def say_other_images(experiment: Experiment) -> None:
    """Warn before the training if a rerun has other images than the run that it repeats."""
    if (source := experiment.config.rerun) is None:
        return
    remove_leftovers(RunDirectory(Path(source)))
    for differ in images_apart(recorded(RunDirectory(Path(source)), "rerun"), experiment.data):
        log.warning(f"rerun={source}: {differ}")


def images_apart(there: Recorded, here: Digests | None) -> list[str]:
    """Return the changes of the images since the run `there`, which an earlier version may not have saved."""
    saved = (there.result or {}).get("data")
    if saved is None and (files := RunDirectory(there.path).saved()):
        saved = checkpoint.newest(files, "rerun")[1].get("data")
    if saved is None or here is None:
        return []
    return [differ] if (differ := changes(saved, here)) else []


def missing_parts(there: Recorded, here: Recorded) -> list[str]:
    """Return the parts that the rerun has and the original has lost: epochs of metrics.jsonl, checkpoints."""
    epochs = there.metrics[-1]["epoch"] if there.result is None and there.metrics else 0
    done = epochs if there.result is None else min(there.result["epochs"] or 0, len(here.metrics))
    missing = missing_epochs(there.metrics, done)
    names = ("best.pt", "last.pt") if isinstance(there.config.task, Train) and there.result is not None else ()
    files = [name for name in names if not (RunDirectory(there.path).checkpoints / name).exists()]
    return [*([f"{missing} of metrics.jsonl"] if missing else []), *files]


def numbers(there: Recorded, here: Recorded) -> tuple[list[str], list[str]]:
    """What of metrics.jsonl and result.json was compared, and what of it differs first."""
    compared, differ = [], []
    common = {line["epoch"] for line in there.metrics} & {line["epoch"] for line in here.metrics}
    if common:
        compared.append(f"{len(common)} epochs of metrics.jsonl")
    if (first := first_epoch_apart(there.metrics, here.metrics)) is not None:
        differ.append(f"first in epoch {first[0]}: {said(first[1], most=1, by=True)}")
    if there.result is not None and here.result is not None:
        figures = comparable(there, here)
        compared.append(f"{len(figures)} figures of result.json")
        apart = {name: (a, b) for name, (a, b) in figures.items() if a != b}
        differ += [said(apart, most=3, by=True)] if apart else []
    return compared, differ


def comparable(there: Recorded, here: Recorded) -> dict[str, tuple[Any, Any]]:
    """The figures of both; not those that another split was measured for, or other constants of the energy account."""
    assert there.result is not None
    assert here.result is not None
    figures = figures_of_both(there.result, here.result)
    if there.result["split"] != here.result["split"]:
        figures = {name: pair for name, pair in figures.items() if name in OF_TRAINING}
    if there.config.energy != here.config.energy:
        figures = {name: pair for name, pair in figures.items() if name.partition(".")[0] not in OF_ENERGY}
    return figures


def networks(there: Recorded, here: Recorded) -> tuple[list[str], list[str]]:
    """Which checkpoints were compared, and where their weights differ first, and by how much at most."""
    compared: list[str] = []
    differ: list[str] = []
    for name in ("best.pt", "last.pt") if isinstance(there.config.task, Train) else ():
        files = [RunDirectory(run.path).checkpoints / name for run in (there, here)]
        if not all(file.exists() for file in files):
            continue
        try:
            before, now = (checkpoint.read(file) for file in files)
            run_id = None if there.result is None else there.result.get("run_id")
            if other := other_run(before, there.config, run_id, str(files[0])):
                log.warning(f"{other}; it is not compared")
                continue
        except checkpoint.DamagedError as error:
            log.warning(f"{error}; it is not compared")
            continue
        steps = [content["train_state"]["step"] for content in (before, now)]
        if steps[0] == steps[1]:
            compared.append(f"the weights of {name}")
            if found := tensors_apart(before["model"], now["model"]):
                layer, largest = next(iter(found.items()))
                differ.append(f"{len(found)} tensors of {name} (first {layer}, by {largest:.3g} at most)")
        elif there.result is not None:  # else it did not get as far
            differ.append(f"{name} is of step {steps[0]} there and {steps[1]} here")
    return compared, differ


def tensors_apart(there: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> dict[str, float]:
    """The tensors that are not the same, bit for bit, and the largest difference in each."""
    return {
        name: float((tensor.double() - here[name].double()).abs().max())
        for name, tensor in there.items()
        if not torch.equal(bits(tensor), bits(here[name]))
    }


def bits(tensor: Tensor) -> Tensor:
    """Its bytes: 0.0 and -0.0 are not the same, and nan is the same as itself."""
    return tensor.contiguous().flatten().view(torch.uint8)


def explanation(there: Recorded, here: Recorded) -> str:
    """What else differs between the two, in words."""
    found = circumstances_apart(there, here)
    said_so = (
        [f"what may explain it: {said(found)}"] if found else ["commit, versions, machine and threads are the same"]
    )
    if there.config.resume is not None:
        said_so.append(f"{there.path} was interrupted or went further, perhaps with other options then")
    saved = RunDirectory(there.path).saved()
    if saved and not checkpoint.newest(saved, "rerun")[1]["train_state"].get("keyed"):
        said_so.append(f"{there.path} was begun by a version that drew random numbers otherwise")
    return "; ".join(said_so)


def top1s(there: Recorded, here: Recorded) -> str:
    """The two top-1, on the test split where both know it, else on the validation split."""
    assert here.result is not None
    if there.result is None:
        return f"{there.path} is not finished, so there is no top-1 to compare with"
    for name, split in (("top1", here.result["split"]), ("validation_top1", "validation")):
        before, now = there.result.get(name), here.result.get(name)
        if before is not None and now is not None:
            return f"top-1 on the {split} split is {before:.2f} % there and {now:.2f} % here ({now - before:+.2f})"
    return "no top-1 is of the same split in both"
