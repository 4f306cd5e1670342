"""The network as one of several processes trains it: torch's DDP, set up for these networks."""

from inspect import signature

import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gacsnn.batchnorm import synchronise
from gacsnn.config.schema import Config
from gacsnn.runtime.group import Group


def together(model: nn.Module, config: Config, group: Group) -> nn.Module:
    """Return the model of one process alone, or the model inside torch's DDP."""
    if group.size == 1:
        return model
    synchronised = config.hardware.sync_batchnorm
    if synchronised:
        synchronise(model)
    # Synchronised buffers are the same everywhere. The option's name depends on torch's version.
    names = signature(DistributedDataParallel).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
    return DistributedDataParallel(
        model,
        **{buffers: not synchronised},  # pyright: ignore[reportArgumentType]
        gradient_as_bucket_view=True,  # no second copy of the gradients
        static_graph=True,  # every step uses every weight, once, in the same order
        # Buckets stay at torch's 25 MiB: these networks have 50 to 250 MiB of weights, so that most of the sums are on their
        # way while earlier layers are still at work.
    )


def settle(model: nn.Module, config: Config, group: Group) -> None:
    """The running statistics of the first process on all, where each has its own: these are saved and measured."""
    if group.size > 1 and not config.hardware.sync_batchnorm:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
