"""How much memory a step takes, into how many parts a batch has to be cut to fit (`hardware.accumulate=auto`), and what is said
where it does not.

From some images on, a step's memory is linear in their number, so that two small batches tell that of a large one. Tensors are
counted, and not the process's pages: it is the same on a CPU and on a GPU.
"""

import copy
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from gacsnn.config.schema import Config, Train
from gacsnn.data.loader import shares_of
from gacsnn.data.normalise import Normalise
from gacsnn.errors import GpuMemoryError, InputError
from gacsnn.models import SpikingResNet
from gacsnn.runtime.console import gib, log
from gacsnn.runtime.device import Machine, free_memory

# Of the free memory, what tensors may take: a convolution's work space and the allocator's holes take some, too.
USABLE = 0.8

# Images of the two batches that are tried, for each part.
FEW, MORE = 8, 16

# Tensors that an optimizer keeps for each weight, each of the weight's size.
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}

# Cutting into twice as many parts should save a tenth, or else nothing more is to be had.
WORTHWHILE = 0.9


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are made while the context lasts: `peak` is the most that lived at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor):
                self.add(tensor)
        return made

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self.known:
            return
        self.known.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self.forget, size)

    def forget(self, size: int) -> None:
        self.live -= size


def peak_of(model: SpikingResNet, normalise: Normalise, machine: Machine, size: tuple[int, int], images: int) -> int:
    """Bytes that forward and backward pass of so many images take beside the weights; the model has no gradients then."""
    pixels = torch.zeros(images, 3, *size, dtype=torch.uint8)
    with Peak() as counted:
        with machine.autocast():
            logits = model(normalise(pixels))
        machine.exact(logits).sum().backward()
    model.zero_grad(set_to_none=True)
    return counted.peak


def step_memory(
    model: SpikingResNet, config: Config, normalise: Normalise, machine: Machine, size: tuple[int, int], parts: int
) -> int:
    """Bytes that a step of this process's share of a batch takes in so many parts, beside weights and program."""
    images = max(shares_of(config.batch_size, machine.group.size))
    tried = copy.deepcopy(model).train()
    tried.accumulate(parts)
    with torch.random.fork_rng(devices=[machine.device] if machine.device.type == "cuda" else []):
        few, more = (peak_of(tried, normalise, machine, size, min(images, count * parts)) for count in (FEW, MORE))
    beyond = max(0.0, images / parts - MORE) / (MORE - FEW)
    moments = MOMENTS[config.optimizer.name] * sum(p.numel() * p.element_size() for p in model.parameters())
    return round(more + (more - few) * beyond) + moments


def fitting_parts(
    model: SpikingResNet, config: Config, normalise: Normalise, machine: Machine, size: tuple[int, int]
) -> int:
    """The fewest parts that fit into the memory that is free; of all processes the most.

    Args:
        size: height and width of an image.

    Raises:
        InputError: on all processes, when one has too little memory for any number of parts.
    """
    free, images = free_memory(machine.device), max(shares_of(config.batch_size, machine.group.size))
    parts, needed = 1, [step_memory(model, config, normalise, machine, size, 1)]
    while needed[-1] > USABLE * free and 2 * parts <= images:
        less = step_memory(model, config, normalise, machine, size, 2 * parts)
        if less > WORTHWHILE * needed[-1]:
            break
        parts, needed = 2 * parts, [*needed, less]
    fits = needed[-1] <= USABLE * free
    parts, too_little = machine.group.highest([parts, not fits])
    if too_little:
        raise InputError(
            f"batch_size={config.batch_size}: a step takes {gib(needed[-1])} in {parts} parts, and {gib(USABLE * free)} may be "
            "used; take a smaller one"
        )
    in_one = "" if parts == 1 else f", in one part {gib(needed[0])}"
    log.info(f"hardware.accumulate=auto: {parts} of {gib(needed[-1])}{in_one}; {gib(USABLE * free)} may be used")
    return parts


# What CUDA's libraries say, in errors of no kind of their own, when a GPU's memory is at an end.
SAID = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def is_of_memory(error: RuntimeError) -> bool:
    """Whether it says that a GPU's memory is at an end."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in SAID)


@contextmanager
def gpu_memory_errors(config: Config, kept: Callable[[], str] | None = None) -> Iterator[None]:
    """A GPU that has too little memory for what is done within: one line that says what to do, and what is `kept`.

    Raises:
        GpuMemoryError: from outside of torch's own error, whose traceback would hold on to the memory.
    """
    try:
        yield
        return
    except RuntimeError as error:
        if not is_of_memory(error):
            raise
    parts, kept = config.hardware.accumulate, kept or (lambda: "")
    trains = isinstance(config.task, Train)
    less = "hardware.accumulate=auto takes less for the same steps, " if trains and parts != "auto" else ""
    raise GpuMemoryError(
        f"the GPU's memory is too small for batch_size={config.batch_size}{f' hardware.accumulate={parts}' if trains else ''}: "
        f"{less}a smaller batch_size takes less{'; ' if kept() else ''}{kept()}"
    )
