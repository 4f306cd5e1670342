"""Forward and backward pass of a training step as CUDA graphs: each is handed to the GPU as a whole.

To start a kernel takes the host longer than many a kernel takes the GPU, and a step has hundreds of them. A graph is of one shape
of batches; it computes what was computed while it was captured, with the weights and images as they are when it is replayed. The
kernels and their order are the same with it and without.
"""

import gc
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gacsnn import draws
from gacsnn.config.schema import Hardware
from gacsnn.errors import InputError
from gacsnn.runtime.console import gib, log
from gacsnn.runtime.device import Machine
from gacsnn.training.memory import is_of_memory

OPTION = "hardware.cuda_graphs"

# What a graph's memory may have in holes; and what validation takes beside it at the most, of what the step takes.
ROOM, VALIDATION = 1.2, 0.5


class Graphs(NamedTuple):
    """The pass for batches of a shape: images [B, 3, H, W] and their keys [B] -> logits [B, T, classes]."""

    shape: torch.Size
    run: Callable[[Tensor, Tensor], Tensor]

    def serve(self, images: Tensor) -> bool:
        return images.shape == self.shape


class Pass(nn.Module):
    """The network as a function of tensors alone."""

    def __init__(self, model: nn.Module, machine: Machine) -> None:
        super().__init__()
        self.model, self.machine = model, machine

    def forward(self, images: Tensor, keys: Tensor) -> Tensor:
        with self.machine.autocast(), draws.keyed(keys):
            return self.model(images)


def unserved(device: str, processes: int, options: Hardware) -> str | None:
    """Why there are none for such a run, in a few words; they are for one process on a GPU, whose blocks take a batch at once."""
    if device != "cuda":
        return "there is no GPU"
    if processes > 1:
        return "several processes train together"
    return None if options.accumulate in (1, "auto") else "hardware.accumulate takes batches in parts"


def check(device: str, processes: int, options: Hardware) -> None:
    """Raises InputError where graphs are asked for by name, and cannot be had."""
    if options.cuda_graphs is True and (why := unserved(device, processes, options)):
        raise InputError(f"{OPTION}=true: {why}; {OPTION}=auto does without")


def captured(
    model: nn.Module,
    machine: Machine,
    options: Hardware,
    images: tuple[int, ...],
    beside: float,
    parts: int = 1,
    why: str | None = None,
) -> Graphs | None:
    """The graphs for full batches, where they are wanted and can be had; to be called before other threads use the GPU.

    Args:
        images: how many images a batch has, their height and width.
        beside: how much memory is taken beside them, as a part of what the step takes: an epoch's last batch, or validation.
        parts: into how many the blocks cut a batch.
        why: there are none, where that is known already.

    Raises:
        InputError: when they are asked for by name, and cannot be had; or when an attempt fails.
        OutOfMemoryError: torch's own, when they are asked for by name.
    """
    if options.cuda_graphs is False:
        return None
    why = why or unserved(machine.device.type, machine.group.size, options)
    why = why or ("a batch is taken in parts" if parts != 1 else None)
    forced = options.cuda_graphs is True
    if why is None:
        count, *size = images
        batch = torch.zeros(count, 3, *size, dtype=machine.dtype, device=machine.device)
        batch = batch.contiguous(memory_format=machine.memory_format)
        try:
            return captured_of(model, machine, batch, beside, forced)
        except NoGraphsError as error:
            why = str(error)
    if forced:
        raise InputError(f"{OPTION}=true: {why}; {OPTION}=auto does without")
    if machine.device.type == "cuda":
        log.info(f"{OPTION}=auto: none, because {why}")
    return None


class NoGraphsError(Exception):
    """Why there are none, in a few words."""


def captured_of(model: nn.Module, machine: Machine, batch: Tensor, beside: float, forced: bool) -> Graphs:
    """The graphs for batches like this one. The running statistics are left as they are.

    Raises:
        NoGraphsError: when the network does what a graph cannot; and, if not `forced`, when the GPU has too little memory for
            them and for what is taken beside them.
        InputError: when it cannot be captured for another reason; what is left of the attempt would be in the way of a run.
        OutOfMemoryError: torch's own, if forced.
    """
    before = [buffer.clone() for buffer in model.buffers()]
    whole = Pass(model, machine).train()
    arguments = batch, torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    try:
        make_room()  # an earlier run's graphs wait for the garbage collector
        needed = ROOM * (1 + beside) * tried(whole, arguments)
        make_room()  # a gradient's place that an earlier pass made, and that something still holds, is of another stream
        if needed > (free := torch.cuda.mem_get_info(machine.device)[0]) and not forced:
            raise NoGraphsError(f"they and what is beside them take {gib(needed)}, and the GPU has {gib(free)}")
        torch.cuda.make_graphed_callables(whole, arguments)
    except RuntimeError as error:
        if is_of_memory(error):
            if forced:
                raise
            raise NoGraphsError("the GPU has too little memory for them") from None
        said = first_line(error)
        raise InputError(f"{OPTION}: a step cannot be captured ({said}); {OPTION}=false does without") from None
    finally:
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)
    # The weights' gradients are put in place where the graph was made; in a replay that is no work for the GPU.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    # The module would refer to itself through it.
    return Graphs(batch.shape, whole.__dict__.pop("forward"))


def make_room() -> None:
    gc.collect()
    torch.cuda.empty_cache()


def tried(whole: nn.Module, arguments: tuple[Tensor, ...]) -> int:
    """Bytes that forward and backward pass take at their most. An attempt at a graph that fails leaves torch's memory in
    disorder: here it is seen before whether it may be made.

    Raises:
        NoGraphsError: when something waits for the GPU, or the pass fails.
        OutOfMemoryError: torch's own.
    """
    weights = [p for p in whole.parameters() if p.requires_grad]

    def once() -> None:
        y = whole(*arguments)
        torch.autograd.grad(y, weights, torch.ones_like(y))

    device = arguments[0].device
    mode = torch.cuda.get_sync_debug_mode()
    try:
        once()  # libraries and kernels make themselves ready
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # that the mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        once()
    except RuntimeError as error:
        if is_of_memory(error):
            raise
        raise NoGraphsError(f"the network does what a graph cannot ({first_line(error)})") from None
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return torch.cuda.max_memory_allocated(device) - before


def first_line(error: RuntimeError) -> str:
    return next(iter(str(error).strip().splitlines()), "no reason was given")
