"""The smallest batch of an epoch, which every batch norm has to be able to normalise."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gacsnn.config.schema import Config
from gacsnn.data.loader import shares_of
from gacsnn.errors import InputError
from gacsnn.models import SpikingResNet


def check_smallest_batch(
    model: SpikingResNet, config: Config, images: int, processes: int, size: Callable[[], tuple[int, int]]
) -> None:
    """Raise InputError if a batch norm would get fewer than 2 values a channel in a step.

    Args:
        model: the network on its device; its state and the random generators stay as they are.
        config: the run's options.
        images: number of images in an epoch.
        processes: number of processes that share each batch.
        size: returns height and width of an image. It is called for a batch of one image only.
    """
    batch = smallest_batch(config, images)
    own = batch if config.hardware.sync_batchnorm else min(shares_of(batch, processes))
    if own > 1:
        return
    if own == 0:
        raise InputError(
            f"hardware.sync_batchnorm=false: an epoch's last batch has {batch} images for {processes} processes, and each "
            "needs one; take hardware.sync_batchnorm=true or another batch_size"
        )
    layer = next((name for name, count in values_per_image(model, size()).items() if count == 1), None)
    if layer is None:
        return
    part = "the smallest batch of an epoch" if own == batch else "a process's part of the smallest batch"
    raise InputError(
        f"batch_size={config.batch_size}: {part} ({images} images in all) has one image, and the batch norm {layer} reads one "
        "value a channel of it, which has no variance; take another batch_size or limit_train, or a larger T or dataset.size"
    )


def smallest_batch(config: Config, images: int) -> int:
    """Return the number of images in the smallest batch that a run of this config trains on."""
    whole, rest = divmod(images, config.batch_size)
    ends_before = config.max_steps is not None and config.max_steps <= whole
    return config.batch_size if whole and (not rest or ends_before) else rest


def values_per_image(model: SpikingResNet, size: tuple[int, int]) -> dict[str, int]:
    """Return how many values a channel each batch norm reads of one image of H x W, in forward order."""
    counts: dict[str, int] = {}

    def count(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda _module, inputs, _output: counts.update({name: inputs[0].numel() // inputs[0].shape[1]})

    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    handles = [module.register_forward_hook(count(name)) for name, module in norms.items()]
    kernels, training = model.kernels, model.training
    weight = next(model.parameters())
    try:
        model.use(None)  # the fused kernels do not call batch norms as modules
        with torch.no_grad(), torch.random.fork_rng():
            model.eval()(torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device))
    finally:
        model.train(training)
        model.use(kernels)
        for handle in handles:
            handle.remove()
    return counts
