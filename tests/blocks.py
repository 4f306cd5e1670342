"""What tests of fast paths pass through: currents in every order of memory, blocks of every kind."""

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gacsnn.kernels.fused import Fused
from gacsnn.models import Block
from gacsnn.neuron import LIF


def as_it_is(x: Tensor) -> Tensor:
    return x


def channels_last(x: Tensor) -> Tensor:
    return x.movedim(2, -1).contiguous().movedim(-1, 2)


def every_second(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=-1)[..., ::2]


def steps_inside(x: Tensor) -> Tensor:
    return x.movedim(0, -1).contiguous().movedim(-1, 0)


def images_first(x: Tensor) -> Tensor:
    """Channels last, and the steps of each image side by side."""
    return channels_last(x.transpose(0, 1)).transpose(0, 1)


def one_step(x: Tensor) -> Tensor:
    """All steps the same, and in one place."""
    return x[:1].expand(x.shape)


ORDERS: list[Callable[[Tensor], Tensor]] = [as_it_is, channels_last, every_second, steps_inside, images_first, one_step]


BLOCKS: dict[str, Callable[..., Block]] = {
    "identity": partial(Block, 12, 12, 1),
    "wider": partial(Block, 5, 12, 1),
    "smaller": partial(Block, 12, 20, 2),
    "pooled shortcut": partial(Block, 12, 20, 2, pooled_shortcut=True),
    "max pool": partial(Block, 12, 20, 2, max_pool=True),
}


def passed(block: nn.Module, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """Output, gradients and running statistics of a pass."""
    x = x.detach().requires_grad_()
    y = block(x)
    if y.requires_grad:
        y.backward(g.to(y.dtype)[:, :, :, : y.shape[3], : y.shape[4]])
    gradients = {name: p.grad for name, p in block.named_parameters() if p.grad is not None}
    inputs = {} if x.grad is None else {"x": x.grad}
    return {"y": y.detach(), **inputs, **gradients, **dict(block.named_buffers())}


def use(model: nn.Module, kernels: Fused | None) -> None:
    for module in model.modules():
        if isinstance(module, Block | LIF):
            module.kernels = kernels


def near_in_bfloat16(kernels: Fused, device: str = "cpu", rounding: float = 2**-9) -> None:
    """A block in bfloat16 against one in float64.

    Its numbers are such that nothing is rounded on the way forward. On the way back each of the n tensors between its output and
    its input or a weight is rounded once, by at most 2^-9 of each value (`rounding`); n is 5.
    """
    torch.manual_seed(0)
    plain = BLOCKS["identity"](neuron=LIF).double().eval()
    with torch.no_grad():
        for conv in (plain.conv1, plain.conv2):
            conv.weight.copy_(torch.randint(-2, 3, conv.weight.shape).double() / 4)
        for bn in (plain.bn1, plain.bn2):  # whose deviation is 1 in every type
            assert bn.running_var is not None
            bn.eps = 2.0**-7
            bn.running_var.fill_(1 - bn.eps)
            bn.weight.fill_(0.5)
    x = torch.randint(-16, 17, (4, 3, 12, 6, 5)).double() / 8
    g = torch.randint(-16, 17, (4, 3, 12, 6, 5)).double() / 8
    fast = copy.deepcopy(plain).to(device, torch.bfloat16)
    for bn in (fast.bn1, fast.bn2):
        bn.float()
    use(fast, kernels)
    expected = passed(plain, x, g)
    found = passed(fast, x.to(device, torch.bfloat16), g.to(device, torch.bfloat16))
    assert torch.equal(found["y"].cpu().double(), expected["y"])
    for name, value in expected.items():
        apart = (found[name].cpu().double() - value).norm()
        assert apart <= 5 * rounding * value.double().norm(), name
