"""Forward and backward pass of a training step as CUDA graphs: each is handed to the GPU as a whole.

To start a kernel takes the host longer than many a kernel takes the GPU, and a step has hundreds of them. A graph is of one shape
of batches; it computes what was computed while it was captured, with the weights and images as they are when it is replayed. The
kernels and their order are the same with it and without.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gacsnn import draws
from gacsnn.config.schema import Hardware
from gacsnn.errors import InputError
from gacsnn.runtime.console import gib, log
from gacsnn.runtime.device import Machine

OPTION = "hardware.cuda_graphs"


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


def unserved(machine: Machine, options: Hardware) -> str | None:
    """Why there are none for such a run, in a few words; they are for one process on a GPU, whose blocks take a batch at once."""
    if machine.device.type != "cuda":
        return "there is no GPU"
    if machine.group.size > 1:
        return "several processes train together"
    return None if options.accumulate in (1, "auto") else "hardware.accumulate takes batches in parts"


def check(machine: Machine, options: Hardware) -> None:
    """Raises InputError where graphs are asked for by name, and cannot be had."""
    if options.cuda_graphs is True and (why := unserved(machine, options)):
        raise InputError(f"{OPTION}=true: {why}; {OPTION}=auto does without")


def captured(
    model: nn.Module, machine: Machine, options: Hardware, parts: int, images: tuple[int, ...], rest: int
) -> Graphs | None:
    """The graphs for full batches, where they are wanted and can be had; to be called before other threads use the GPU.

    Args:
        parts: into how many the blocks cut a batch.
        images: how many images a batch has, their height and width.
        rest: images of an epoch's last batch, where it has fewer: it is computed without graphs, in memory of its own.

    Raises:
        InputError: when they are asked for by name, and cannot be had.
    """
    if options.cuda_graphs is False:
        return None
    why = unserved(machine, options) or ("a batch is taken in parts" if parts != 1 else None)
    if why is None:
        count, *size = images
        batch = torch.zeros(count, 3, *size, dtype=machine.dtype, device=machine.device)
        batch = batch.contiguous(memory_format=machine.memory_format)
        try:
            return captured_of(model, machine, batch, rest / count)
        except NoGraphsError as error:
            why = str(error)
    if options.cuda_graphs is True:
        raise InputError(f"{OPTION}=true: {why}; {OPTION}=auto does without")
    if machine.device.type == "cuda":
        log.info(f"{OPTION}=auto: none, because {why}")
    return None


class NoGraphsError(Exception):
    """Why there are none, in a few words."""


def captured_of(model: nn.Module, machine: Machine, batch: Tensor, rest: float) -> Graphs:
    """The graphs for batches like this one. The running statistics are left as they are.

    Raises:
        NoGraphsError: when the GPU has too little memory for them and for a batch of `rest` of the size beside them, or the
            network does what a graph cannot.
    """
    before = [buffer.clone() for buffer in model.buffers()]
    whole = Pass(model, machine).train()
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info(machine.device)[0]
    try:
        torch.cuda.make_graphed_callables(
            whole, (batch, torch.zeros(len(batch), dtype=torch.int64, device=batch.device))
        )
        # Without this the module would refer to itself, and the memory wait for the garbage collector.
        run = whole.__dict__.pop("forward")
        # The weights' gradients are put in place where the graph was made; in a replay that is no work for the GPU.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    except torch.OutOfMemoryError:
        raise NoGraphsError("the GPU has too little memory for them") from None
    except RuntimeError as error:
        said = str(error).strip().splitlines() or ["no reason was given"]
        raise NoGraphsError(f"the network cannot be captured ({said[0]})") from None
    finally:
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)
    torch.cuda.empty_cache()
    left = torch.cuda.mem_get_info(machine.device)[0]
    if left < rest * (free - left):
        raise NoGraphsError(f"{gib(left)} of the GPU's memory would be left, too little for an epoch's last batch")
    return Graphs(batch.shape, run)
