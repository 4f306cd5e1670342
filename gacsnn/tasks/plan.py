"""plan=true: what a training will take, measured with a few steps of it. Nothing is written."""

import time
from collections.abc import Collection

import torch
from torch.utils._pytree import tree_iter

from gacsnn.config.schema import Config, Train
from gacsnn.data.loader import begin_epoch
from gacsnn.report.plan import run_lines
from gacsnn.runtime.console import log
from gacsnn.runtime.device import free_memory
from gacsnn.runtime.run_dir import OnEpochEnd, Result
from gacsnn.tasks.experiment import Experiment, prepare
from gacsnn.training.memory import USABLE, fitting_parts, step_memory
from gacsnn.training.metrics import evaluate
from gacsnn.training.trainer import Trainer, capture, release

# Steps that are timed, after one that is not; fewer, when they take this many seconds.
STEPS, SECONDS = 8, 5.0


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    """Measure, and say it. Returns the figures, times in seconds, sizes in bytes.

    Raises:
        InputError: as the training itself would, before its first step.
        torch.OutOfMemoryError: when a step does not fit into the GPU's memory.
    """
    begun = time.perf_counter()
    experiment = prepare(config)
    machine, splits = experiment.machine, experiment.splits
    free = free_memory(machine.device)  # before anything is taken of it
    config = config.model_copy(update={"batch_size": min(config.batch_size, len(splits.train))})
    size, parts = experiment.image_size(), config.hardware.accumulate
    if parts == "auto":
        parts = fitting_parts(experiment.model, config, experiment.normalise, machine, size)
    experiment.model.accumulate(parts)
    needed = step_memory(experiment.model, config, experiment.normalise, machine, size, parts)
    figures: Result = {
        "device": machine.describe(),
        "kernels": experiment.kernels,
        "on_gpu": machine.device.type == "cuda",
        "processes": machine.group.size,
        "train_images": len(splits.train),
        "validation_images": 0 if splits.validation is None else len(splits.validation),
        "test_images": len(splits.test),
        "memory_bytes": needed,
        "free_bytes": round(USABLE * free),
        "fits": needed <= USABLE * free,
    }
    prepared = time.perf_counter() - begun
    if figures["fits"]:
        figures |= timed(experiment, prepared, parts)
    if machine.group.first:
        log.info("\n".join(run_lines(figures)))
    return figures


def timed(experiment: Experiment, prepared: float, parts: int) -> Result:
    """Seconds of a step, of an image that is evaluated, and of the whole run; what it writes."""
    config, splits, machine = experiment.config, experiment.splits, experiment.machine
    assert isinstance(config.task, Train)
    trainer = Trainer(experiment.model, config, machine, experiment.normalise, len(splits.train))
    capture(trainer, experiment.image_size(), parts)
    step = step_seconds(trainer, experiment)
    release(trainer)
    held_out = splits.for_evaluation("test")
    assert held_out is not None
    with experiment.loader(held_out.limited(2 * config.batch_size)) as loader:
        score = evaluate(experiment.model, loader, experiment.normalise, machine, "evaluating")
    image = score.seconds / score.images
    validation, test = (0 if images is None else len(images) for images in (splits.validation, splits.test))
    steps = config.epochs * trainer.steps_per_epoch
    epochs: float = config.epochs
    if config.max_steps is not None and config.max_steps < steps:
        steps, epochs = config.max_steps, config.max_steps / trainer.steps_per_epoch
    seconds = prepared + steps * step + epochs * validation * image + (test if config.task.test else validation) * image
    tensors = (leaf for leaf in tree_iter(trainer.content([])) if isinstance(leaf, torch.Tensor))
    checkpoint = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return {
        "steps": steps,
        "epochs": epochs,
        "step_seconds": step,
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
