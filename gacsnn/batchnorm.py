"""Batch norm over all that is computed in a step, on however many processes; torch's own SyncBatchNorm refuses CPU tensors."""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over [B, C, H, W], with the running statistics of the batch repeated `repeats` times.

    Mean and biased variance of a repeated batch are those of the batch. Only the running variance differs: PyTorch
    multiplies the biased variance by n / (n - 1), and n is T*B*H*W there and B*H*W here.

    After `synchronise` the batch is that of all processes of the default group, which may have different numbers of images,
    none included.
    """

    def __init__(self, channels: int, repeats: int = 1) -> None:
        super().__init__(channels)
        self.repeats = repeats
        self.synchronised = False

    def forward(self, input: Tensor) -> Tensor:
        if len(input) != 1:
            return self.normalised(input)
        # On a CPU torch 2.14 misreads one frame, or its gradient, whose strides are those of a view of [1, 1, ...].
        output = self.normalised(input.contiguous())
        if output.requires_grad:
            output.register_hook(torch.Tensor.contiguous)
        return output

    def normalised(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        if self.synchronised:
            output, mean, variance, count = SynchronisedBatchNorm.apply(input, self.weight, self.bias, self.eps)
            if not _again.passing:
                self.update(mean, variance, count)
            return output
        if self.repeats == 1 and not _again.passing:
            return super().forward(input)
        return self.alone(input)

    def alone(self, input: Tensor) -> Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        # Copies, because autograd keeps what batch_norm updates and must find it unchanged.
        mean, updated = self.running_mean.clone(), self.running_var.clone()
        output = F.batch_norm(input, mean, updated, self.weight, self.bias, True, self.momentum, self.eps)
        if _again.passing:
            return output
        once = input.numel() // input.shape[1]
        repeated = once * self.repeats
        correction = (repeated / (repeated - 1)) / (once / (once - 1))
        with torch.no_grad():
            kept = self.running_var * (1 - self.momentum)
            self.running_mean.copy_(mean)
            self.running_var.copy_(kept + correction * (updated - kept))
            self.num_batches_tracked.add_(1)
        return output

    @torch.no_grad()
    def update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """The running statistics, from mean and biased variance of `count` values a channel."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        n = count * self.repeats
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_((variance * (n / (n - 1))).to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked.add_(1)


def synchronise(model: nn.Module) -> None:
    """Have every batch norm of the model take its statistics over all processes of the default group."""
    for module in model.modules():
        if isinstance(module, BatchNorm2d):
            module.synchronised = True


class _Again:
    """A context that may be entered again, as checkpoints are where the graph is kept for a second backward pass."""

    passing = False

    def __enter__(self) -> None:
        self.passing = True

    def __exit__(self, *_: object) -> None:
        self.passing = False


_again = _Again()


def is_again() -> bool:
    """Whether a forward pass is one of `again`."""
    return _again.passing


def again() -> _Again:
    """A forward pass done once more, for its gradients: running statistics have had this batch already."""
    return _again


class SynchronisedBatchNorm(torch.autograd.Function):
    """Batch norm of [B, C, H, W] over all processes: one gather forward, one sum backward.

    Each process sends the count, the mean and the sum of squared distances from it of each channel. These are put together
    as Chan et al. (1979) do, which does not subtract large numbers, in the order of the ranks, so that all get the same.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        here, channels = x.numel() // x.shape[1], x.shape[1]
        own = exact.new_zeros(1, 2 * channels + 1, dtype=torch.float64)
        if here:
            variance, mean = torch.var_mean(exact, dim=(0, 2, 3), correction=0)
            own[0, 0], own[0, 1 : channels + 1], own[0, channels + 1 :] = here, mean, variance * here
        each = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(each, own)
        counts, means, squares = torch.cat(each).split([1, channels, channels], dim=1)
        count = counts.sum()
        if here <= 1 and count <= 1:  # to look at the count is to wait for the GPU
            raise ValueError(f"batch norm in training needs more than 1 value a channel; input {list(x.shape)}")
        mean = (counts * means).sum(dim=0) / count
        variance = (squares + counts * (means - mean).square()).sum(dim=0) / count
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, inverse, count)
        scale, shift = weight * inverse, bias - mean * weight * inverse
        output = torch.addcmul(per_channel(shift, exact), exact, per_channel(scale, exact)).to(x.dtype)
        ctx.mark_non_differentiable(mean, variance, count)
        return output, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        exact = torch.promote_types(x.dtype, torch.float32)
        dy, x_exact = gradients[0].to(exact), x.to(exact)
        normalised = (x_exact - per_channel(mean, x_exact)) * per_channel(inverse, x_exact)
        for_bias, for_weight = dy.sum(dim=(0, 2, 3)), (dy * normalised).sum(dim=(0, 2, 3))
        sums = torch.stack([for_bias, for_weight]).double()
        dist.all_reduce(sums)
        of_mean, of_variance = (sums / count).unbind()
        dx = (dy - per_channel(of_mean, dy) - normalised * per_channel(of_variance, dy)) * per_channel(
            weight * inverse, dy
        )
        return dx.to(x.dtype), for_weight.to(weight.dtype), for_bias.to(weight.dtype), None


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1)
