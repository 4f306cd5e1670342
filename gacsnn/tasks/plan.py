"""plan=true: what a training will take, measured with a few steps of it. Nothing is written."""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch.utils._pytree import tree_iter

from gacsnn.config.schema import Config, Train
from gacsnn.data import load_splits
from gacsnn.data.images import Images
from gacsnn.data.loader import begin_epoch
from gacsnn.data.splits import Splits
from gacsnn.data.transforms import evaluation_transform, training_transform
from gacsnn.report.plan import run_lines
from gacsnn.runtime.console import log
from gacsnn.runtime.datasets import counts_of, is_missing, side_of
from gacsnn.runtime.device import free_memory, on_gpu
from gacsnn.runtime.run_dir import OnEpochEnd, Result
from gacsnn.tasks.checks import stands_alone
from gacsnn.tasks.experiment import Experiment, prepare
from gacsnn.training.memory import USABLE, fitting_parts, step_memory
from gacsnn.training.metrics import evaluate
from gacsnn.training.trainer import Trainer, capture, release

# Steps that are timed, after one that is not; fewer, when they take this many seconds.
STEPS, SECONDS = 8, 5.0

# Images of the smaller of two steps that a CPU times in place of a larger batch that is planned for other machines.
FEW = 2

# The evaluation of an image as a share of its training: one forward pass of about three passes.
EVALUATION = 1 / 3


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    """Measure, and say it. Returns the figures, times in seconds, sizes in bytes.

    Raises:
        InputError: as the training itself would, before its first step.
        torch.OutOfMemoryError: when a step does not fit into the GPU's memory.
    """
    begun = time.perf_counter()
    part = part_of(config) if stands_alone(config) else None
    experiment = prepare(config) if part is None else prepare(part.config, part.splits)
    config, machine, splits = experiment.config, experiment.machine, experiment.splits
    free = free_memory(machine.device)  # before anything is taken of it
    config = config.model_copy(update={"batch_size": min(config.batch_size, len(splits.train))})
    share = config if part is None else config.model_copy(update={"batch_size": part.share})
    size, parts = experiment.image_size(), config.hardware.accumulate
    if parts == "auto":
        parts = 1 if part else fitting_parts(experiment.model, config, experiment.normalise, machine, size)
    experiment.model.accumulate(parts)
    needed = step_memory(experiment.model, share, experiment.normalise, machine, size, parts)
    figures: Result = {
        "device": machine.describe(),
        "kernels": experiment.kernels,
        "on_gpu": machine.device.type == "cuda",
        "processes": machine.group.size if part is None else part.processes,
        "train_images": len(splits.train) if part is None else part.train,
        "validation_images": len(splits.validation or ()) if part is None else part.validation,
        "test_images": len(splits.test) if part is None else part.test,
        "assumed": [] if part is None else part.assumed,
        "memory_bytes": needed,
        "free_bytes": round(USABLE * free),
        "fits": needed <= USABLE * free or (part is not None and machine.device.type == "cpu"),
    }
    prepared = time.perf_counter() - begun
    if figures["fits"]:
        figures |= timed(experiment, prepared, parts, figures, part)
    if machine.group.first:
        log.info("\n".join(run_lines(figures)))
    return figures


@dataclass(frozen=True)
class Part:
    """What one process measures of a run that this machine does not hold: a few images of its share of a batch.

    `share`: images of a batch that each process has; `train`, `validation` and `test`: images of the splits of the whole run.
    """

    config: Config
    splits: Splits
    batch_size: int
    processes: int
    share: int
    train: int
    validation: int
    test: int
    assumed: list[str]


def part_of(config: Config) -> Part:
    """Return the part of a run that is measured here, with synthetic images where the data are not here.

    Raises:
        InputError: if the number of images or classes is unknown, or the data are damaged.
    """
    processes = config.hardware.processes
    assert isinstance(processes, int)
    dataset, assumed = config.dataset, []
    if is_missing(dataset):
        known, test, classes = counts_of(config)
        validation = round(known * dataset.validation)
        train = known - validation
        train, validation, test = (
            count if most is None else min(count, most)
            for count, most in ((train, config.limit_train), (validation, config.limit_eval), (test, config.limit_eval))
        )
        splits = None
        assumed.append(
            f"the images of {dataset.name} are not here: synthetic images of the same shape were timed, without reading files; "
            f"{known:,} training and {test:,} test images of {classes:,} classes are assumed"
        )
    else:
        splits = load_splits(dataset).limited(config.limit_train, config.limit_eval)
        train, validation, test = (len(images or ()) for images in (splits.train, splits.validation, splits.test))
        classes = len(splits.classes)
    batch_size = min(config.batch_size, train)
    share = -(-batch_size // processes)
    few = share if on_gpu(config.hardware) else min(share, FEW)
    if config.plan_step_seconds is not None:
        assumed.append(
            f"a step of {batch_size} images by {processes} processes was given as {config.plan_step_seconds:g} s, and not timed"
        )
        assumed.append("the evaluation of an image is taken for a third of its training")
    elif few < share:
        assumed.append(
            f"steps of {few} and {2 * few} images were timed by one process, and continued to the {share} images of each process"
        )
    if processes > 1 and config.plan_step_seconds is None:
        assumed.append(f"{processes} devices like this one are assumed; their communication was not measured")
    if splits is None:
        splits = synthetic_splits(config, 2 * few * (STEPS + 1), classes)
    alone = config.hardware.model_copy(update={"processes": 1})
    if config.hardware.precision == "fp16" and not on_gpu(config.hardware):  # it takes minutes
        alone = alone.model_copy(update={"precision": "fp32"})
        assumed.append("fp32 was measured in place of fp16, which a CPU has no kernels for")
    limits = {"limit_train": 2 * few * (STEPS + 1), "limit_eval": 2 * few}
    config = config.model_copy(update={"hardware": alone, "batch_size": few, **limits})
    return Part(config, splits, batch_size, processes, share, train, validation, test, assumed)


def synthetic_splits(config: Config, count: int, classes: int) -> Splits:
    """Return random images of the data's shape, transformed as the data would be."""
    size = side_of(config.dataset)
    stored = getattr(config.dataset, "resize", size)
    pixels = torch.randint(
        256, (count, 3, stored, stored), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    labels = torch.arange(count) % classes
    resize = getattr(config.dataset, "resize", None)
    train = Images(pixels, labels, training_transform(config.dataset.augment, size, resize))
    test = Images(pixels, labels, evaluation_transform(size, resize))
    names = [f"class{index}" for index in range(classes)]
    return Splits(train, None, test, names, config.dataset.mean or [0.5] * 3, config.dataset.std or [0.25] * 3)


def timed(experiment: Experiment, prepared: float, parts: int, figures: Result, part: Part | None) -> Result:
    """Seconds of a step, of an image that is evaluated, and of the whole run; what it writes."""
    config, splits, machine = experiment.config, experiment.splits, experiment.machine
    assert isinstance(config.task, Train)
    trainer = Trainer(experiment.model, config, machine, experiment.normalise, len(splits.train))
    batch = part or config
    steps_per_epoch = trainer.steps_per_epoch if part is None else -(-part.train // part.batch_size)
    if (given := config.plan_step_seconds) is not None:
        step, image = given, EVALUATION * given / batch.batch_size
    else:
        step = step_seconds(trainer, experiment, parts)
        if part is not None and part.share > (few := config.batch_size):
            more = replace(experiment, config=config.model_copy(update={"batch_size": 2 * few}))
            larger = Trainer(more.model, more.config, machine, more.normalise, len(splits.train))
            step += max(0.0, step_seconds(larger, more, parts) - step) * (part.share - few) / few
        image = image_seconds(experiment) / (1 if part is None else part.processes)
    validation, test = figures["validation_images"], figures["test_images"]
    steps = config.epochs * steps_per_epoch
    epochs: float = config.epochs
    if config.max_steps is not None and config.max_steps < steps:
        steps, epochs = config.max_steps, config.max_steps / steps_per_epoch
    seconds = prepared + steps * step + epochs * validation * image + (test if config.task.test else validation) * image
    tensors = (leaf for leaf in tree_iter(trainer.content([])) if isinstance(leaf, torch.Tensor))
    checkpoint = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return {
        "steps": steps,
        "epochs": epochs,
        "step_seconds": step,
        "epoch_seconds": steps_per_epoch * step + validation * image,
        "evaluation_seconds": image,
        "seconds": seconds,
        "disk_bytes": checkpoint * (config.keep_checkpoints + 1),
    }


def image_seconds(experiment: Experiment) -> float:
    """Return the time of the evaluation of one image."""
    held_out = experiment.splits.for_evaluation("test")
    assert held_out is not None
    with experiment.loader(held_out.limited(2 * experiment.config.batch_size)) as loader:
        score = evaluate(experiment.model, loader, experiment.normalise, experiment.machine, "evaluating")
    return score.seconds / score.images


def step_seconds(trainer: Trainer, experiment: Experiment, parts: int) -> float:
    """Return the time of a step, its images read and augmented. The first step is left out if there are more."""
    capture(trainer, experiment.image_size(), parts)
    trainer.model.train()
    trainer.begin_epoch()
    seconds: list[float] = []
    with experiment.loader(experiment.splits.train, shuffle=True) as loader:
        begin_epoch(loader, 0, 0)
        begun = time.perf_counter()
        for images, labels, keys in loader:
            float(trainer.step(images, labels, keys).loss)  # to read it is to wait for the GPU
            now = time.perf_counter()
            seconds.append(now - begun)
            begun = now
            enough = len(seconds) > STEPS or sum(seconds[1:]) > SECONDS
            if trainer.group.highest([int(enough)])[0]:
                break
    release(trainer)
    timed = seconds[1:] or seconds
    return sum(timed) / len(timed)
