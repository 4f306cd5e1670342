"""One run: config -> data, network, training -> run directory."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gacsnn import checkpoint
from gacsnn.config import Config, Evaluate, inherit, load, to_dict, validate
from gacsnn.data import Loader, Pictures, Splits, batches, load_splits
from gacsnn.errors import Diverged, InputError
from gacsnn.evaluate import Score, evaluate
from gacsnn.hardware import Machine, prepare
from gacsnn.models import create_model
from gacsnn.pixels import Normalise
from gacsnn.progress import duration, log, speak
from gacsnn.results import RunDirectory, new_directory, provenance
from gacsnn.train import Training, train

# What makes two networks the same function of the same weights.
ARCHITECTURE = ("model", "T", "encoder", "neuron")


def run(config: Config, asked: Collection[str] | None = None) -> float | None:
    """Do the task of a config. Returns top-1 in percent on the split that selects or is measured, if there is one.

    Args:
        config: the checked config.
        asked: the options that the user set, dotted; others are taken from the run that is resumed, or from the checkpoint
            that is evaluated. None: all were set.

    Raises:
        InputError: for anything wrong in config, data or checkpoint, before any work and with nothing written.
        Diverged: when the loss is no longer finite.
    """
    speak()
    if isinstance(config.task, Evaluate):
        return run_evaluate(config, asked)
    return run_train(config, asked)


@dataclass(frozen=True)
class Prepared:
    """What training and evaluation share: the data, the network on its device, and the way from one to the other."""

    config: Config
    machine: Machine
    splits: Splits
    model: nn.Module
    normalise: Normalise

    def loader(self, pictures: Pictures, shuffle: bool = False) -> Loader:
        return batches(
            pictures,
            self.config.batch_size,
            shuffle=shuffle,
            seed=self.config.seed,
            workers=self.machine.loader_workers(pictures.in_memory),
            pin_memory=self.machine.device.type == "cuda",
        )


def prepare_run(config: Config) -> Prepared:
    """Read the data, build the network. The config comes back with mean and std as measured."""
    machine = prepare(config.hardware)
    splits = load_splits(config.dataset).limited(config.limit_train, config.limit_eval)
    measured = config.dataset.model_copy(update={"mean": splits.mean, "std": splits.std})
    config = config.model_copy(update={"dataset": measured})
    torch.manual_seed(config.seed)
    model = create_model(
        config.model.name,
        T=config.T,
        num_classes=len(splits.classes),
        encoder=config.encoder.name,
        layout=config.model.layout,
        width=config.model.width,
        stages=config.model.stages,
        neuron=config.neuron.model_dump(),
    )
    model.to(device=machine.device, memory_format=machine.memory_format)
    return Prepared(config, machine, splits, model, Normalise(splits.mean, splits.std, machine))


def run_train(config: Config, asked: Collection[str] | None) -> float | None:
    state: dict[str, Any] | None = None
    if config.resume is not None:
        config, directory, state = resumed(config, asked)
    else:
        directory = new_directory(config.output_dir, run_name(config))
    prepared = prepare_run(config)
    config, splits = prepared.config, prepared.splits
    if state is None and config.checkpoint is not None:
        source = Path(config.checkpoint)
        checkpoint.load_weights(prepared.model, checkpoint.read(source)["model"], source)
    loader = prepared.loader(splits.train, shuffle=True)
    training = Training(prepared.model, config, prepared.machine, len(loader))
    if state is not None:
        if state["classes"] != splits.classes:
            raise InputError(f"resume={directory.path}: the data set's classes are not those of that run")
        training.restore(state)
        directory.forget_metrics_after(training.done.epoch)
    directory.create(config)
    describe(prepared, directory)
    if training.done.epoch:
        log.info(f"resumed after epoch {training.done.epoch} of {config.epochs}")
    validation = None if splits.validation is None else prepared.loader(splits.validation)
    try:
        train(training, loader, validation, prepared.normalise, directory, splits.classes)
    except KeyboardInterrupt:
        log.info(where_to_go_on(training, directory, "interrupted"))
        raise
    except Diverged as error:
        raise Diverged(f"{error}. {where_to_go_on(training, directory, 'stopped')}; a smaller optimizer.lr may help") from None
    return finish(training, prepared, directory)


def finish(training: Training, prepared: Prepared, directory: RunDirectory) -> float | None:
    """Read the test split once, with the selected weights, and write the result."""
    done, config = training.done, prepared.config
    selected = directory.best if directory.best.exists() else directory.last
    checkpoint.load_weights(prepared.model, checkpoint.read(selected)["model"], selected)
    score = evaluate(prepared.model, prepared.loader(prepared.splits.test), prepared.normalise, prepared.machine, "testing")
    if done.best_epoch is None:
        selected_by = f"last epoch ({done.epoch}); there is no validation split"
    else:
        selected_by = f"best top-1 on the validation split (epoch {done.best_epoch} of {done.epoch})"
    result = {
        **score_fields(score, "test"),
        **common_fields(prepared),
        "epochs": done.epoch,
        "steps": done.step,
        "train_seconds": done.seconds,
        "images_per_second": done.pictures / done.step_seconds,
        "validation_top1": done.best_top1,
        "selected_by": selected_by,
    }
    directory.write_result(result)
    summarise(result, directory)
    return done.best_top1


def run_evaluate(config: Config, asked: Collection[str] | None) -> float:
    if config.checkpoint is None:
        raise InputError("task=evaluate: checkpoint=FILE says what to measure, such as outputs/.../checkpoints/best.pt")
    source = Path(config.checkpoint)
    state = checkpoint.read(source)
    saved = validate(state["config"])
    config = inherit(saved, config, asked, always=("task", "checkpoint", "resume", "output_dir", "hardware", "limit_eval"))
    if differ := differences(saved, config, ARCHITECTURE):
        raise InputError(f"checkpoint={source}: of another architecture: {differ}")
    directory = new_directory(config.output_dir, f"evaluate-{run_name(config)}")
    prepared = prepare_run(config)
    if state["classes"] != prepared.splits.classes:
        raise InputError(
            f"checkpoint={source}: it knows {len(state['classes'])} classes, and dataset={config.dataset.name} has "
            f"{len(prepared.splits.classes)} or others"
        )
    checkpoint.load_weights(prepared.model, state["model"], source)
    split: str = config.task.split  # type: ignore[union-attr]
    pictures = getattr(prepared.splits, split)
    if pictures is None:
        raise InputError(f"task.split={split}: dataset.validation=0 leaves no validation split")
    directory.create(prepared.config)
    describe(prepared, directory)
    plain = prepared.splits.test.transform
    score = evaluate(
        prepared.model,
        prepared.loader(Pictures(pictures.images, pictures.labels, plain)),
        prepared.normalise,
        prepared.machine,
    )
    done = state["done"]
    result = {
        **score_fields(score, split),
        **common_fields(prepared),
        "epochs": done["epoch"],
        "steps": done["step"],
        "train_seconds": done["seconds"],
        "images_per_second": score.pictures / score.seconds,
        "validation_top1": done["best_top1"],
        "selected_by": f"checkpoint {source}, after epoch {done['epoch']}",
    }
    directory.write_result(result)
    summarise(result, directory)
    return score.top1


def resumed(config: Config, asked: Collection[str] | None) -> tuple[Config, RunDirectory, dict[str, Any]]:
    """The config, directory and state of the run to go on with."""
    path = Path(config.resume or "")
    directory = RunDirectory(path)
    if not path.is_dir():
        raise InputError(f"resume={path}: no such run directory")
    if not directory.last.exists():
        raise InputError(f"resume={path}: no checkpoints/last.pt in it, so there is nothing to go on with")
    saved = load(directory.config)
    merged = inherit(saved, config, asked, always=("resume", "task"))
    if differ := differences(saved, merged, tuple(name for name in to_dict(saved) if name not in RESUMABLE)):
        raise InputError(
            f"resume={path}: {differ}; a run goes on as it was, only {', '.join(RESUMABLE[2:])} may change"
        )
    return merged, directory, checkpoint.read(directory.last)


# What may change when a run goes on.
RESUMABLE = ("resume", "task", "epochs", "max_steps", "max_minutes", "hardware")


def differences(saved: Config, asked: Config, sections: Collection[str]) -> str:
    """What differs between two configs, in words: `T is 4 there and 6 here`."""

    def flat(node: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            return {prefix: node}
        return {key: value for name in node for key, value in flat(node[name], f"{prefix}.{name}").items()}

    there, here = to_dict(saved), to_dict(asked)
    old = {key: value for section in sections for key, value in flat(there[section], section).items()}
    new = {key: value for section in sections for key, value in flat(here[section], section).items()}
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key} is {old.get(key)} there and {new.get(key)} here" for key in keys)


def score_fields(score: Score, split: str) -> dict[str, Any]:
    return {
        "top1": score.top1,
        "top5": score.top5,
        "loss": score.loss,
        "firing_rate": score.firing_rate,
        "split": split,
        "pictures": score.pictures,
    }


def common_fields(prepared: Prepared) -> dict[str, Any]:
    return {
        "params": sum(parameter.numel() for parameter in prepared.model.parameters()),
        "energy_mj": None,
        **provenance(prepared.config, prepared.machine),
    }


def run_name(config: Config) -> str:
    return f"{config.dataset.name}-{config.model.name}-{config.encoder.name}-T{config.T}"


def describe(prepared: Prepared, directory: RunDirectory) -> None:
    """What is about to be run, in two lines."""
    config, splits = prepared.config, prepared.splits
    counts = f"{len(splits.train):,} training"
    if splits.validation is not None:
        counts += f", {len(splits.validation):,} validation"
    name = "SYNTHETIC DATA" if config.dataset.name == "synthetic" else config.dataset.name
    parameters = sum(parameter.numel() for parameter in prepared.model.parameters())
    log.info(f"{name}: {counts}, {len(splits.test):,} test pictures, {len(splits.classes)} classes")
    log.info(
        f"{config.model.name} (width {config.model.width:g}), {config.encoder.name}, T={config.T}: {parameters:,} parameters"
        f" on {prepared.machine.describe()}, {config.hardware.precision} -> {directory.path}"
    )


def where_to_go_on(training: Training, directory: RunDirectory, what: str) -> str:
    if directory.last.exists():
        saved = checkpoint.read(directory.last)["done"]["epoch"]
        return f"{what} in epoch {training.done.epoch + 1}; resume={directory.path} goes on after epoch {saved}"
    return f"{what} in the first epoch; there is no checkpoint yet"


def summarise(result: dict[str, Any], directory: RunDirectory) -> None:
    """The closing summary."""
    data = "SYNTHETIC DATA" if result["dataset"] == "synthetic" else f"{result['dataset']} {result['split']} split"
    seconds = result["train_seconds"]
    log.info("")
    log.info(f"top-1        {result['top1']:.2f} % on the {data} ({result['pictures']:,} pictures)")
    log.info(f"selected by  {result['selected_by']}")
    log.info(f"parameters   {result['params']:,}")
    log.info(f"firing rate  {100 * result['firing_rate']:.1f} % of neurons a time step")
    log.info(f"trained for  {duration(seconds)}, {result['epochs']} epochs")
    log.info(f"results in   {directory.path}")
