"""One run: config -> data, network, training -> run directory."""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gacsnn import checkpoint
from gacsnn.config import Config, Evaluate, ShowStudy, Train, load, to_dict
from gacsnn.data import Loader, Pictures, Splits, batches, load_splits
from gacsnn.encoders import ENCODERS, GAC
from gacsnn.energy import Row, energy_account, totals
from gacsnn.errors import DivergenceError, InputError
from gacsnn.evaluate import Score, evaluate
from gacsnn.hardware import Machine, prepare
from gacsnn.inherit import ARCHITECTURE, CHANGEABLE, differences, inherit
from gacsnn.models import SpikingResNet, create_model, find_network
from gacsnn.pixels import Normalise
from gacsnn.progress import log, speak
from gacsnn.report.energy import draw_rates, table, write_csv
from gacsnn.results import RunDirectory, check_new_directory, make_directory, provenance
from gacsnn.summary import announce, conclude, parameter_count
from gacsnn.train import Training, train
from gacsnn.weights import load_reference, load_weights, other_steps

Result = dict[str, Any]
Report = Callable[[Mapping[str, Any]], None]


def run(config: Config, asked: Collection[str] | None = None, report: Report | None = None) -> Result:
    """Do the task of a config. Returns what `result.json` holds.

    Args:
        config: the checked config.
        asked: the options that the user set, dotted; others are taken from the run that is resumed, or from the
            checkpoint that is evaluated. None: all were set.
        report: called after each epoch of a training with its line of `metrics.jsonl`; it may raise Pruned.

    Raises:
        InputError: for anything wrong in config, data or checkpoint, before any work and with nothing written.
        DivergenceError: when the loss is no longer finite.
        Pruned: as `report` does.
    """
    speak()
    if isinstance(config.task, ShowStudy):
        return show_study(config)
    if isinstance(config.task, Evaluate):
        return run_evaluate(config, asked)
    return run_train(config, asked, report)


@dataclass(frozen=True)
class Prepared:
    """What training and evaluation share: the data, the network on its device, the way from one to the other."""

    config: Config
    machine: Machine
    splits: Splits
    model: SpikingResNet
    normalise: Normalise

    def loader(self, pictures: Pictures, shuffle: bool = False) -> AbstractContextManager[Loader]:
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
    find_network(config.model.name, config.model.layout)
    splits = load_splits(config.dataset).limited(config.limit_train, config.limit_eval)
    new = [name for name in ("mean", "std") if getattr(config.dataset, name) is None]
    known = {"mean": splits.mean, "std": splits.std, "measured": [*config.dataset.measured, *new]}
    config = config.model_copy(update={"dataset": config.dataset.model_copy(update=known)})
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
        encoder_options=config.encoder.model_dump(exclude={"name"}),
    )
    model = model.to(machine.device).to(memory_format=machine.memory_format)
    if ENCODERS[config.encoder.name].static:
        normalise = Normalise(splits.mean, splits.std, machine)
    else:
        normalise = Normalise([0.0] * 3, [1.0] * 3, machine)
    return Prepared(config, machine, splits, model, normalise)


def run_train(config: Config, asked: Collection[str] | None, report: Report | None) -> Result:
    if config.resume is not None:
        directory = RunDirectory(Path(config.resume))
        directory.check_resumable()
        with directory.held("resume"):
            return go_on(config, asked, directory, report)
    check_new_directory(config.output_dir)
    weights = None if config.checkpoint is None else checkpoint.read_any(Path(config.checkpoint))
    prepared = prepare_run(config)
    if weights is not None:
        put_weights(prepared.model, weights, f"checkpoint={config.checkpoint}")
    directory = make_directory(config.output_dir, run_name(config))
    with directory.held("output_dir"):
        directory.forget_after(0)  # of a run that was stopped in its first epoch
        return learn(prepared, directory, None, report)


def go_on(config: Config, asked: Collection[str] | None, directory: RunDirectory, report: Report | None) -> Result:
    """Resume a run where its last checkpoint stands."""
    path = directory.path
    saved = load(directory.config)
    config = inherit(saved, config, asked, always=("resume",))
    given = None if asked is None or "output_dir" not in asked else config.output_dir
    if given is None or Path(given).absolute() == path.absolute():  # the folder may have been moved since
        config = config.model_copy(update={"output_dir": saved.output_dir and str(path)})
        saved = saved.model_copy(update={"output_dir": config.output_dir})
    if differ := differences(saved, config, set(to_dict(saved)) - set(CHANGEABLE), CHANGEABLE):
        raise InputError(f"resume={path}: {differ}; when a run goes on, only {', '.join(CHANGEABLE[1:])} may change")
    state = checkpoint.read(directory.last)
    prepared = prepare_run(config)
    if state["classes"] != prepared.splits.classes:
        raise InputError(f"resume={path}: the data set's classes are no longer those of that run")
    return learn(prepared, directory, state, report)


def learn(prepared: Prepared, directory: RunDirectory, state: dict[str, Any] | None, report: Report | None) -> Result:
    """Train from the beginning, or from the state of a checkpoint; then test."""
    config, splits = prepared.config, prepared.splits
    assert isinstance(config.task, Train)
    training = Training(prepared.model, config, prepared.machine, len(splits.train))
    if state is not None:
        training.restore(state)
        if training.done.epoch >= config.epochs or training.limit_reached(0):
            known = json.loads(directory.result.read_text()) if directory.result.exists() else None
            if known is not None and (known["top1"] is not None or not config.task.test):
                log.info(f"this run is complete; resume={directory.path} epochs=N with a larger N goes further")
                conclude(known, directory.path)
                return known
            directory.write_config(config)
            return finish(training, prepared, directory)  # all that is missing is the result, or its test
        directory.forget_after(training.done.epoch)
    directory.write_config(config)
    announce(config, splits, prepared.model, prepared.machine, directory.path)
    if state is not None:
        log.info(f"going on after epoch {training.done.epoch} of {config.epochs}")
    selecting = splits.for_evaluation(config.task.selected_by)
    selection = nullcontext() if selecting is None else prepared.loader(selecting)
    try:
        with prepared.loader(splits.train, shuffle=True) as loader, selection as selector:
            train(training, loader, selector, prepared.normalise, directory, splits.classes, report)
    except (KeyboardInterrupt, SystemExit):
        log.info(f"interrupted; {what_is_kept(directory)}")
        raise
    except DivergenceError as error:
        raise DivergenceError(f"{error}; {what_is_kept(directory)}; a smaller optimizer.lr may help") from None
    return finish(training, prepared, directory)


def what_is_kept(directory: RunDirectory) -> str:
    if not directory.last.exists():
        return "no epoch was finished, so there is no checkpoint"
    epoch = checkpoint.read(directory.last)["done"]["epoch"]
    return f"epoch {epoch} is the last that was finished, and resume={directory.path} goes on after it"


def finish(training: Training, prepared: Prepared, directory: RunDirectory) -> Result:
    """Measure the selected weights, and write the result.

    The test split is read once, here; twice, where it picked the epoch itself (`task.selected_by=test`); not at all,
    where the run is a trial of a sweep that compares by the validation split (`task.test=false`).
    """
    done, task = training.done, prepared.config.task
    assert isinstance(task, Train)
    by_test = task.selected_by == "test"
    split = "test" if task.test else "validation"
    last = {"last_epoch_top1": measure(prepared, directory.last, split).top1} if by_test else {}
    score = measure(prepared, directory.best, split)
    if done.best_top1 is None:
        selected_by = f"last epoch ({done.epoch}), for want of a validation split"
    else:
        epoch = f"epoch {done.best_epoch} of {done.epoch}"
        released = ", as the released programs do" if by_test else ""
        selected_by = (
            f"best top-1 on the {task.selected_by.upper() if by_test else 'validation'} split ({epoch}){released}"
        )
    rows = account(score, prepared)
    result = {
        **measured(score, split, prepared, rows),
        **({} if task.test else {"top1": None, "top5": None, "loss": None}),
        **last,
        "epochs": done.epoch,
        "steps": done.step,
        "train_seconds": done.seconds,
        "images_per_second": done.pictures / done.step_seconds,
        "validation_top1": None if by_test else done.best_top1,
        "selected_by": selected_by,
    }
    write_energy(rows, directory)
    directory.write_result(result)
    conclude(result, directory.path)
    return result


def measure(prepared: Prepared, weights: Path, split: str) -> Score:
    load_weights(prepared.model, checkpoint.read(weights)["model"], f"checkpoint={weights}")
    pictures = prepared.splits.for_evaluation(split)
    assert pictures is not None
    description = "testing" if split == "test" else "measuring"
    with prepared.loader(pictures) as loader:
        return evaluate(prepared.model, loader, prepared.normalise, prepared.machine, description)


def run_evaluate(config: Config, asked: Collection[str] | None) -> Result:
    """Measure a checkpoint, ours or one that the authors published; for `task=energy`, show where the energy goes."""
    assert isinstance(config.task, Evaluate)
    task = config.task.name
    if config.checkpoint is None:
        raise InputError(f"task={task}: checkpoint=FILE says what to measure, such as RUN/checkpoints/best.pt")
    if config.resume is not None:
        raise InputError(f"task={task} resume={config.resume}: only a training is resumed; give checkpoint=FILE")
    source, split = f"checkpoint={config.checkpoint}", config.task.split
    state = checkpoint.read_any(Path(config.checkpoint))
    if "config" in state:
        config = as_saved(checkpoint.config_of(state, source), config, asked, source)
    check_new_directory(config.output_dir)
    prepared = prepare_run(config)
    if "classes" in state:
        check_classes(state["classes"], prepared, source)
    put_weights(prepared.model, state, source)
    pictures = prepared.splits.for_evaluation(split)
    if pictures is None:
        raise InputError(f"task.split={split}: with dataset.validation=0 there is no validation split")
    directory = make_directory(config.output_dir, f"{task}-{run_name(config)}")
    directory.write_config(prepared.config)
    announce(prepared.config, prepared.splits, prepared.model, prepared.machine, directory.path)
    with prepared.loader(pictures) as loader:
        score = evaluate(prepared.model, loader, prepared.normalise, prepared.machine)
    done = state.get("done", {})
    then = state.get("config", {}).get("task", {})
    validated = then.get("selected_by") == "validation" and done["epoch"] == done["best_epoch"]
    epoch = f", after epoch {done['epoch']}" if done else ", the authors' weights"
    rows = account(score, prepared)
    result = {
        **measured(score, split, prepared, rows),
        "epochs": done.get("epoch"),
        "steps": done.get("step"),
        "train_seconds": done.get("seconds"),
        "images_per_second": score.pictures / score.seconds,
        "validation_top1": done.get("best_top1") if validated else None,
        "selected_by": f"the user: {config.checkpoint}{epoch}",
    }
    write_energy(rows, directory)
    directory.write_result(result)
    if task == "energy":
        log.info("\n".join(["", *table(rows)]))
    conclude(result, directory.path)
    return result


def show_study(config: Config) -> Result:
    from gacsnn.report.study import show  # brings optuna, which only this task wants

    if config.study is None:
        raise InputError("task=study: study=FOLDER says which, such as study=multirun/t_lr-digits-resnet8")
    return show(Path(config.study))


def as_saved(saved: Config, config: Config, asked: Collection[str] | None, source: str) -> Config:
    """The config of a checkpoint of ours, with what the user may change of it for a measurement."""
    here = ("task", "checkpoint", "resume", "output_dir", "hardware", "limit_eval", "energy")
    config = inherit(saved, config, asked, always=here)
    if config.T != saved.T and saved.encoder.name == "gac":
        raise InputError(f"{source}: {other_steps(saved.T, config.T)}")
    if asked is None or not {"dataset.mean", "dataset.std"} & set(asked):  # what the network was trained to see
        trained = {name: getattr(saved.dataset, name) for name in ("mean", "std", "measured")}
        config = config.model_copy(update={"dataset": config.dataset.model_copy(update=trained)})
    if differ := differences(saved, config, ARCHITECTURE):
        raise InputError(f"{source}: of another architecture: {differ}")
    return config


def check_classes(there: list[str], prepared: Prepared, source: str) -> None:
    here = prepared.splits.classes
    if there != here:
        raise InputError(
            f"{source}: for {len(there)} classes ({', '.join(there[:3])}, ...), "
            f"and dataset={prepared.config.dataset.name} has {len(here)} ({', '.join(here[:3])}, ...)"
        )


def put_weights(model: SpikingResNet, state: Mapping[str, Any], source: str) -> None:
    """The weights of a checkpoint of ours, or of the authors', all or none."""
    if "format" in state:
        trained = checkpoint.config_of(state, source)
        if isinstance(model.encoder, GAC) and trained.encoder.name == "gac" and trained.T != model.T:
            raise InputError(f"{source}: {other_steps(trained.T, model.T)}")
        load_weights(model, state["model"], source)
    else:
        load_reference(model, state, source)


def account(score: Score, prepared: Prepared) -> list[Row]:
    """Where the energy of a picture goes, at the firing rates just measured."""
    picture, _ = prepared.splits.test[0, 0]
    size = (picture.shape[-2], picture.shape[-1])
    return energy_account(prepared.model, size, score.rates_by_step, **prepared.config.energy.model_dump())


def write_energy(rows: list[Row], directory: RunDirectory) -> None:
    write_csv(rows, directory.energy)
    draw_rates(directory.energy, directory.firing_rates)


def measured(score: Score, split: str, prepared: Prepared, rows: list[Row]) -> dict[str, Any]:
    """The part of `result.json` that training and evaluation share."""
    return {
        "top1": score.top1,
        "top5": score.top5,
        "loss": score.loss,
        "firing_rate": score.firing_rate,
        **totals(rows),
        "energy_constants": prepared.config.energy.model_dump(),
        "split": split,
        "pictures": score.pictures,
        "params": parameter_count(prepared.model),
        **provenance(prepared.config, prepared.machine),
    }


def run_name(config: Config) -> str:
    return f"{config.dataset.name}-{config.model.name}-{config.encoder.name}-T{config.T}"
