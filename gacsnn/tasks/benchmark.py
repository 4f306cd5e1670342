"""task=benchmark: what training steps and evaluation cost here, beside the plain path and the convolutions -> benchmark.json.

Images are random, of the data set's size; what is measured reads no data.
"""

from collections.abc import Collection
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import torch

from gacsnn.benchmark.floor import Floor
from gacsnn.benchmark.jelly import MissingError, jelly
from gacsnn.benchmark.paths import Path
from gacsnn.benchmark.released import released
from gacsnn.benchmark.timed import seconds
from gacsnn.config.saved import to_saved
from gacsnn.config.schema import Benchmark, Config
from gacsnn.config.text import to_json
from gacsnn.report.benchmark import FILE, lines
from gacsnn.runtime.console import log
from gacsnn.runtime.datasets import classes_of, side_of
from gacsnn.runtime.device import PRECISIONS, Machine, prepare_machine
from gacsnn.runtime.files import write_text
from gacsnn.runtime.provenance import provenance
from gacsnn.runtime.run_dir import OnEpochEnd, Result, make_directory
from gacsnn.tasks.experiment import (
    check_gpu_memory,
    kernels_for,
    memory_format,
    picked,
    run_name,
    sound_orders,
)
from gacsnn.trained import network_of
from gacsnn.training.memory import gpu_memory_errors
from gacsnn.training.smallest_batch import check_smallest_batch


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    """Measure and write. Returns what the file holds.

    Raises:
        InputError: when the machine cannot hold a step.
    """
    machine = prepare_machine(config.hardware)
    check_gpu_memory(config)
    with gpu_memory_errors(config):
        rows, kernels = measured(config, machine)
    found: Result = {
        "rows": rows,
        **provenance(config, machine.describe(), kernels),
        "batch_size": config.batch_size,
        "config": to_saved(config),
    }
    folder = make_directory(config.output_dir, f"benchmark-{run_name(config)}").path
    write_text(folder / FILE, to_json(found, indent=2) + "\n")
    log.info("\n".join([*lines(rows), f"{folder / FILE}"]))
    return found


def measured(config: Config, machine: Machine) -> tuple[list[dict[str, Any]], str]:
    """The rows of `benchmark.json`, and what kernels there were."""
    assert isinstance(config.task, Benchmark)
    kernels = kernels_for(machine, config.hardware)
    name = "plain" if kernels is None else "fused"
    torch.manual_seed(config.seed)
    classes, side = classes_of(config.dataset), max(8, side_of(config.dataset))
    model = network_of(config, classes).to(machine.device, machine.dtype)
    check_smallest_batch(model, config, config.batch_size, 1, lambda: (side, side))
    machine = replace(machine, memory_format=memory_format(machine, config.hardware, kernels, model))
    images = torch.rand(config.batch_size, 3, side, side, dtype=machine.dtype).to(machine.device)
    labels = torch.randint(classes, (config.batch_size,)).to(machine.device)
    log.info(
        f"{config.model.name} (width {config.model.width:g}), {config.encoder.name}, T={config.T}, {config.batch_size} images of "
        f"{side}x{side} on {picked(machine, name)}"
    )
    theirs = as_released(config, machine)
    paths = {"plain": Path(released(model), config, theirs, images, labels)}
    try:
        paths["spikingjelly"] = Path(jelly(model), config, machine, images, labels)
    except MissingError as error:
        log.info(f"spikingjelly: not measured ({error})")
    floors = {
        f"floor {order}": Floor(model, images, PRECISIONS[machine.precision], order)
        for order in sound_orders(machine, model)
    }
    model.use(kernels)
    paths["auto"] = Path(model, config, machine, images, labels)
    rounds = config.task.rounds
    counted: dict[str, dict[str, int]] = {path: asdict(each.counted()) for path, each in paths.items()}
    counted |= {path: {"flops": each.flops()} for path, each in floors.items()}
    peaks = {path: max(1, counted[path]["peak"]) for path in paths}
    paths["auto"].capture(config.hardware, max(peaks.values()) / peaks["auto"])
    floor_steps = {path: each.step for path, each in floors.items()}
    if paths["auto"].graphs is not None:
        pool = torch.cuda.graph_pool_handle()
        floor_steps = {path: each.capture(pool) for path, each in floors.items()}
    train = seconds(
        {**{path: each.step for path, each in paths.items()}, **floor_steps},
        rounds, config.batch_size, machine.device, "training steps",
    )  # fmt: skip
    evaluation = seconds(
        {**{path: each.evaluate for path, each in paths.items()}, **{path: each.forward for path, each in floors.items()}},
        rounds, config.batch_size, machine.device, "evaluations",
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for phase, times in (("train", train), ("eval", evaluation)):
        best = min(floors, key=lambda path: median(times[path]))
        for path in (*paths, best):
            precision = theirs.precision if path == "plain" else machine.precision
            memory = counted.get(path, {}) if phase == "train" else {}
            rows.append(row(config, path.partition(" ")[0], phase, precision, times[path], memory))
    return rows, name


def as_released(config: Config, machine: Machine) -> Machine:
    """The precision of the authors' programs, CIFAR's in float32 and ImageNet's with AMP on a GPU, in torch's own order."""
    amp = config.model.layout == "imagenet" and machine.device.type == "cuda"
    precision = machine.precision if machine.precision == "fp64" else "fp16" if amp else "fp32"
    return replace(machine, precision=precision, memory_format=torch.contiguous_format)


def row(
    config: Config, path: str, phase: str, precision: str, rounds: list[float], memory: dict[str, int]
) -> dict[str, Any]:
    images, step = config.batch_size, median(rounds)
    return {
        "path": path,
        "phase": phase,
        "model": config.model.name,
        "T": config.T,
        "batch_size": images,
        "precision": precision,
        "images_per_second": images / step,
        "seconds": step,
        "round_seconds": rounds,
        "peak_memory_bytes": memory.get("peak"),
        "operations": memory.get("operations"),
        **{
            f"{name}_per_image": memory[of] / images if of in memory else None
            for name, of in (("saved_bytes", "saved"), ("moved_bytes", "moved"), ("flops", "flops"))
        },
    }
