"""What a run says at its beginning and at its end."""

from pathlib import Path
from typing import Any

from torch import nn

from gacsnn import progress
from gacsnn.config import Config
from gacsnn.data import Splits
from gacsnn.hardware import Machine
from gacsnn.neuron import NEURONS
from gacsnn.progress import duration, log


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def announce(config: Config, splits: Splits, model: nn.Module, machine: Machine, folder: Path) -> None:
    """What is about to be run, in two lines."""
    name = "SYNTHETIC DATA" if config.dataset.name == "synthetic" else config.dataset.name
    validation = 0 if splits.validation is None else len(splits.validation)
    log.info(
        f"{name}: {len(splits.train):,} training, {validation:,} validation, {len(splits.test):,} test pictures, "
        f"{len(splits.classes)} classes"
    )
    other = "cifar" if config.model.layout == "imagenet" else "imagenet"
    if config.neuron.model_dump() == NEURONS[other]:
        log.warning(f"layout {config.model.layout} with the neuron of {other}; neuron={config.model.layout} is its own")
    log.info(
        f"{config.model.name} (width {config.model.width:g}), {config.encoder.name}, T={config.T}: "
        f"{parameter_count(model):,} parameters on {machine.describe()}, {config.hardware.precision} -> {folder}"
    )


def conclude(result: dict[str, Any], folder: Path) -> None:
    """The closing summary of a `result.json`."""
    data = "SYNTHETIC DATA" if result["dataset"] == "synthetic" else result["dataset"]
    trained = result["train_seconds"]
    top1 = result["validation_top1"] if result["top1"] is None else result["top1"]
    last = result.get("last_epoch_top1")
    paper, full = result["energy_mj"], result["energy_full_mj"]
    lines = {
        "top-1": f"{top1:.2f} % on the {result['split']} split of {data} ({result['pictures']:,} pictures)",
        "last epoch": None if last is None else f"{last:.2f} %",
        "selected by": result["selected_by"],
        "parameters": f"{result['params']:,}",
        "firing rate": f"{100 * result['firing_rate']:.1f} % of the neurons at a time step",
        "energy": f"{paper:.4g} mJ a picture by the paper's convention, {full:.4g} in full",
        "trained for": None if trained is None else f"{duration(trained)}, {result['epochs']} epochs",
        "results in": folder,
    }
    if progress.label:  # one of many: a line is enough
        kept = ("top-1", "energy", "trained for")
        log.info(", ".join(str(lines[name]) for name in kept if lines[name] is not None))
        return
    log.info("")
    for name, value in lines.items():
        if value is None:
            continue
        log.info(f"{name:<13}{value}")
