"""plan=true: what a training will take, measured with a few steps of it. Nothing is written."""

import time
from collections.abc import Collection
from dataclasses import dataclass

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

# Images of a step that a CPU times in place of a larger batch that is planned for other machines.
FEW = 2


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
        "fits": part is not None or needed <= USABLE * free,
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
    elif few < share or processes > 1:
        each = f"{share} of the {batch_size} images" if processes > 1 else f"{batch_size} images"
        assumed.append(f"a step of {few} images was timed by one process, and scaled to {each} that each process takes")
    if processes > 1 and config.plan_step_seconds is None:
        assumed.append(f"{processes} devices like this one are assumed; their communication was not measured")
    if splits is None:
        splits = synthetic_splits(config, few * (STEPS + 1), classes)
    alone = config.hardware.model_copy(update={"processes": 1})
    if config.hardware.precision == "fp16" and not on_gpu(
        config.hardware
    ):  # CPUs have no kernels for it, and take minutes
        alone = alone.model_copy(update={"precision": "fp32"})
        assumed.append("fp32 was timed in place of fp16, which a CPU has no kernels for")
    config = config.model_copy(
        update={"hardware": alone, "batch_size": few, "limit_train": few * (STEPS + 1), "limit_eval": 2 * few}
    )
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
    steps_per_epoch = trainer.steps_per_epoch
    capture(trainer, experiment.image_size(), parts)
    step = step_seconds(trainer, experiment)
    release(trainer)
    held_out = splits.for_evaluation("test")
    assert held_out is not None
    with experiment.loader(held_out.limited(2 * config.batch_size)) as loader:
        score = evaluate(experiment.model, loader, experiment.normalise, machine, "evaluating")
    image = score.seconds / score.images
    if part is not None:
        steps_per_epoch = -(-part.train // part.batch_size)
        step, image = step * part.share / config.batch_size, image / part.processes
        if (given := config.plan_step_seconds) is not None:
            image, step = image * given / step, given
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


def step_seconds(trainer: Trainer, experiment: Experiment) -> float:
    """Of a step as it is trained, its images read and augmented, the first step left out where there are more."""
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
    timed = seconds[1:] or seconds
    return sum(timed) / len(timed)
