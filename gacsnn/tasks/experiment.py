"""From a config to data, network and device. The tasks share it."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gacsnn.config.merge import ARCHITECTURE, differences, sections
from gacsnn.config.saved import from_saved
from gacsnn.config.schema import Config, Hardware, Train
from gacsnn.data import load_splits
from gacsnn.data.digest import Digests, digests_of
from gacsnn.data.images import Images
from gacsnn.data.loader import Loader, batches
from gacsnn.data.normalise import Normalise
from gacsnn.data.splits import Splits
from gacsnn.encoders import GAC
from gacsnn.errors import InputError, other_steps
from gacsnn.kernels.choice import NoKernelsError, fused
from gacsnn.kernels.fused import Fused
from gacsnn.models import SpikingResNet
from gacsnn.neuron import NEURONS
from gacsnn.runtime.console import log
from gacsnn.runtime.device import PRECISIONS, Machine, on_gpu, prepare_machine
from gacsnn.runtime.run_dir import RunDirectory, check_new_directory, make_directory
from gacsnn.tasks import least
from gacsnn.trained import network_of, normalisation_of
from gacsnn.training import graphs
from gacsnn.training.smallest_batch import check_smallest_batch
from gacsnn.weights import load_state, load_weights


@dataclass(frozen=True)
class Experiment:
    """What a config describes: the data, the network on its device, the way from one to the other."""

    config: Config
    machine: Machine
    splits: Splits
    model: SpikingResNet
    normalise: Normalise
    kernels: str  # plain or fused
    data: Digests  # of the whole splits, whatever the limits

    def image_size(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
        image, _ = self.splits.train[0, 0]
        return image.shape[-2], image.shape[-1]

    def loader(self, images: Images, shuffle: bool = False) -> AbstractContextManager[Loader]:
        return batches(
            images,
            self.config.batch_size,
            shuffle=shuffle,
            seed=self.config.seed,
            workers=self.machine.loader_workers(images.in_memory),
            pin_memory=self.machine.device.type == "cuda",
            rank=self.machine.group.rank,
        )

    def new_directory(self, name: str) -> RunDirectory:
        """The run directory, made by the first process; it alone writes."""
        group = self.machine.group
        path = group.share(lambda: make_directory(self.config.output_dir, name).path)
        return RunDirectory(path, writes=group.first)

    @contextmanager
    def locked(self, run_dir: RunDirectory) -> Iterator[None]:
        """Have a new run's directory to oneself. Another process may have written a run into it since it was looked at.

        Raises:
            InputError: when one has, or does.
        """
        with run_dir.lock("output_dir"):
            if self.config.output_dir is not None:
                self.machine.group.share(lambda: check_new_directory(self.config.output_dir))
            yield


def prepare(config: Config, given: Splits | None = None) -> Experiment:
    """Read the data, or take the given splits, and build the network. The config comes back with mean and std as measured.

    Raises:
        InputError: when there is no such device, a GPU has less memory than the least, the data is missing or damaged, or
            a training has a batch that a batch norm cannot normalise.
    """
    machine = prepare_machine(config.hardware)
    kernels = kernels_for(machine, config.hardware)
    graphs.check(machine.device.type, machine.group.size, config.hardware)
    check_gpu_memory(config)
    if given is None and getattr(config.dataset, "download", False):
        machine.group.share(lambda: load_splits(config.dataset) and None)  # one fetches, then all read
    splits = given or load_splits(config.dataset)
    data = machine.group.share(lambda: digests_of(splits, getattr(config.dataset, "root", None)))
    splits = splits.limited(config.limit_train, config.limit_eval)
    new = [name for name in ("mean", "std") if getattr(config.dataset, name) is None]
    known = {"mean": splits.mean, "std": splits.std, "measured": [*config.dataset.measured, *new]}
    config = config.model_copy(update={"dataset": config.dataset.model_copy(update=known)})
    torch.manual_seed(config.seed)
    model = network_of(config, len(splits.classes))
    machine = replace(machine, memory_format=memory_format(machine, config.hardware, kernels, model))
    model = model.to(machine.device, machine.dtype).to(memory_format=machine.memory_format)
    model.use(kernels)
    normalise = Normalise(*normalisation_of(config, splits.mean, splits.std), machine)
    experiment = Experiment(config, machine, splits, model, normalise, "plain" if kernels is None else "fused", data)
    if isinstance(config.task, Train):
        check_smallest_batch(model, config, len(splits.train), machine.group.size, experiment.image_size)
    return experiment


def kernels_for(machine: Machine, options: Hardware) -> Fused | None:
    """The kernels that are asked for; None: the plain path.

    Raises:
        InputError: when they are asked for by name, and are not to be had.
    """
    if options.kernels == "plain":
        return None
    try:
        return fused(machine.device.type, PRECISIONS[machine.precision])
    except NoKernelsError as error:
        if options.kernels == "fused":
            raise InputError(f"hardware.kernels=fused: {error}; hardware.kernels=plain does without") from None
        log.info(f"hardware.kernels=auto: plain, because {error}")
        return None


def memory_format(machine: Machine, options: Hardware, kernels: Fused | None, model: nn.Module) -> torch.memory_format:
    """Of activations: as asked for, else what is faster: channels last, where there are kernels; and in low precisions on a GPU.

    Raises:
        InputError: when channels last are asked for, and the network's convolutions are not sound with them.
    """
    sound = torch.channels_last in sound_orders(machine, model)
    if options.channels_last is True and not sound:
        raise InputError(
            "hardware.channels_last=true: on a CPU PyTorch's convolutions write beyond their memory for a shortcut with a stride "
            f"and fewer than {BLOCK} channels (oneDNN's issue 6035); take hardware.channels_last=auto, or a larger model.width"
        )
    if options.channels_last != "auto":
        return machine.memory_format
    low = machine.precision in ("bf16", "fp16")
    faster = kernels is not None or (low and machine.device.type == "cuda")
    return torch.channels_last if faster and sound else torch.contiguous_format


# Channels that oneDNN's kernels take at once: 8 with AVX2, 16 with AVX-512.
BLOCK = 16


def sound_orders(machine: Machine, model: nn.Module) -> list[torch.memory_format]:
    """The orders of memory that the network's convolutions may be given.

    oneDNN's gradient of the weight of a 1x1 convolution with a stride, of less than a block of channels that come last, writes
    beyond its memory (its issue 6035): that ends the process, or spoils numbers.
    """
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    narrow = any(
        conv.kernel_size == (1, 1) and max(conv.stride) > 1 and conv.in_channels < BLOCK for conv in convolutions
    )
    first_alone = machine.device.type == "cpu" and narrow
    return [torch.contiguous_format] if first_alone else [torch.contiguous_format, torch.channels_last]


def check_gpu_memory(config: Config) -> None:
    """Raises InputError where the run is on a GPU that has less memory in all than the least."""
    if on_gpu(config.hardware):
        processes = config.hardware.processes
        part = 1 / processes if isinstance(processes, int) else 1 / max(1, torch.cuda.device_count())
        least.check(config, torch.cuda.get_device_properties(0).total_memory, "the GPU", part)


def put_weights(experiment: Experiment, state: Mapping[str, Any], source: str) -> None:
    """The weights of a checkpoint of ours, or of a bare state dict, all or none.

    The neuron's constants, what the images are normalised by and the classes' names are no weights: where those that the
    network was trained with are others, that is a warning; of a bare state dict they are not known.
    """
    model, config = experiment.model, experiment.config
    if "format" not in state:
        load_state(model, state, source)
        neuron = ", ".join(f"{name} {value}" for name, value in config.neuron.model_dump().items())
        log.info(f"{source}: weights alone; neuron ({neuron}), mean, std and classes are those of the command line")
        return
    trained = from_saved(state["config"], source)
    if isinstance(model.encoder, GAC) and trained.encoder.name == "gac" and trained.T != model.T:
        raise InputError(f"{source}: {other_steps(trained.T, model.T)}")
    load_weights(model, state["model"], source)
    there, here = (as_trained(each) for each in (trained, config))
    if state["classes"] != experiment.splits.classes:
        there["classes"], here["classes"] = (few(names) for names in (state["classes"], experiment.splits.classes))
    if differ := differences(there, here):
        log.warning(f"{source}: its network was trained otherwise: {differ}")


def as_trained(config: Config) -> dict[str, Any]:
    """What weights are trained for, and do not say."""
    mean, std = normalisation_of(config, config.dataset.mean, config.dataset.std)
    return {**sections(config, (*ARCHITECTURE, "T")), "dataset.mean": mean, "dataset.std": std}


def few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def announce(experiment: Experiment, folder: Path, graphs: bool = False) -> None:
    """What is about to be run, in two lines."""
    config, splits, model = experiment.config, experiment.splits, experiment.model
    name = "SYNTHETIC DATA" if config.dataset.name == "synthetic" else config.dataset.name
    validation = 0 if splits.validation is None else len(splits.validation)
    log.info(
        f"{name}: {len(splits.train):,} training, {validation:,} validation, {len(splits.test):,} test images, "
        f"{len(splits.classes)} classes"
    )
    other = "cifar" if config.model.layout == "imagenet" else "imagenet"
    if config.neuron.model_dump() == NEURONS[other]:
        log.warning(f"layout {config.model.layout} with the neuron of {other}; neuron={config.model.layout} is its own")
    log.info(
        f"{config.model.name} (width {config.model.width:g}), {config.encoder.name}, T={config.T}: "
        f"{parameter_count(model):,} parameters on {picked(experiment.machine, experiment.kernels, graphs)} -> {folder}"
    )


def picked(machine: Machine, kernels: str, graphs: bool = False) -> str:
    """What computes, and how, in words."""
    order = ["channels last"] if machine.memory_format == torch.channels_last else []
    return ", ".join(
        [machine.describe(), machine.precision, *order, f"{kernels} kernels", *(["CUDA graphs"] if graphs else [])]
    )


def run_name(config: Config) -> str:
    return f"{config.dataset.name}-{config.model.name}-{config.encoder.name}-T{config.T}"
