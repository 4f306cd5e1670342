"""The GPU's kernels (`gpu_kernels.py`) as functions of tensors; the same functions as `cpu.py`'s. Nothing waits for the GPU.

Tensors are [T, B, C, ...], T first, in the orders of `layout.py`. A `norm` is a batch norm as it stands, rows of [4, C]: mean,
1 / deviation, scale and shift, in float32, or float64 where the layer is; x normalised is scale * x + shift.

Each kernel reads and writes each tensor once. Bytes per element of [T, B, C, ...], with e those of its type:

    lif                  2 e   current; spikes
    lif_backward         3 e   current, gradient of spikes; gradient of current
      plus `more`, or
      the spikes         4 e   each
    statistics             e   e / T where all steps are the same
    sums                 2 e
    affine               2 e   x; x normalised
      plus `g`           3 e   a shortcut, or a gradient
    gate                   e   gated spikes; a current and its gate, of all steps one: 2 e / T
    gate_backward          e   their gradient; what `gate` reads, and its gradients: 4 e / T

Where all steps are the same, x counts e / T. Above KEPT steps `lif_backward` also writes and reads h in a scratch buffer of
about PROGRAMS x T tiles, and x again where there is a norm: 8 + e more, of which the second-level cache holds what it can.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gacsnn.batchnorm import BatchNorm2d
from gacsnn.kernels import gpu_kernels
from gacsnn.kernels.build import BuildError
from gacsnn.kernels.layout import dense, in_order_of, like
from gacsnn.neuron import LIF

DEVICE = "cuda"

# In which type the kernels compute.
TYPES = {torch.float32: tl.float32, torch.float64: tl.float64, torch.bfloat16: tl.float32, torch.float16: tl.float32}

# Elements of a tile: 8 a thread. Up to KEPT steps `lif_backward` has h of them all in registers, which is to read x once; its
# tiles are smaller (`elements_back`). Any number of steps cannot be, and to compute h again for each would take T * T / 2.
TILE, KEPT = 1024, 8

# The most channels side by side in a tile.
WIDTH = 64

# About how many programs share the tiles where each has sums of its own: on any GPU as many, so that sums are the same.
PROGRAMS = 1024

# Channels of a program that computes with channels alone, and of one that adds up their parts.
BLOCK, CHANNELS = 128, 16
ADDED = {"ROWS": 2048 // CHANNELS, "WIDTH": CHANNELS}

# GPUs before this have not been compiled for.
CAPABILITY = (8, 0)


def prepare() -> None:
    """Have one kernel compiled and run.

    Raises:
        BuildError: when that cannot be.
    """
    try:
        if torch.version.hip:
            raise BuildError("they are for NVIDIA's GPUs")
        capability = torch.cuda.get_device_capability()
        if capability < CAPABILITY:
            raise BuildError(f"the GPU is of compute capability {'.'.join(map(str, capability))}, and 8.0 is needed")
        lif(torch.zeros(1, 1, 1, device=DEVICE), LIF())
        torch.cuda.synchronize()
    except BuildError:
        raise
    # Triton says in many ways that there is no C compiler, header, driver or place for its cache.
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise BuildError(f"Triton cannot compile or run a kernel ({said[0]})") from error


def elements_forward(T: int, dtype: torch.dtype) -> int:
    """Elements of a tile of `lif`, all of whose steps are in registers where it reads them first."""
    size = T * dtype.itemsize if T <= KEPT else 0
    return TILE if size <= 16 else TILE // 2 if size <= 32 else TILE // 4


def elements_back(T: int, dtype: torch.dtype) -> int:
    """Elements of a tile of `lif_backward`, so that h of all its steps fits the registers where it is to stay there.

    At least one for each thread of a program (128): else several threads have the same element, and where a gradient is written
    over in place, one would read what another has written.
    """
    small = 4 if KEPT // 2 < T <= KEPT else 2
    return TILE // small // (2 if dtype == torch.float64 else 1)


def walked(
    x: Tensor, by_channel: bool = True, elements: int | None = None, flat: bool = False
) -> tuple[Tensor, dict[str, Any]]:
    """x as the kernels walk it, copied where it has to be, and how, as arguments of a kernel. `flat`: no step depends on
    another, and where they lie side by side they are walked as one."""
    x, S, stride = dense(x)
    T, step = len(x), x.numel() // len(x)
    if flat and stride == step:
        T, step = 1, x.numel()
    C = x.shape[2] if by_channel else 1
    S = S if by_channel else 1
    width = min(WIDTH, triton.next_power_of_2(C)) if S == 1 else 1
    sizes = {"T": T, "N": step // C, "C": C, "S": S, "stride": stride, "step": step}
    tile = {"ROWS": (elements or TILE) // width, "WIDTH": width, "WIDE": is_wide(step), "ACC": TYPES[x.dtype]}
    return x, sizes | tile


def is_wide(step: int) -> bool:
    """Whether 32 bits cannot count the elements of a step, and of a tile beyond it, which is whole."""
    return step >= 2**31 - WIDTH * TILE


def grid(walk: dict[str, Any]) -> tuple[int, int]:
    """How many tiles there are, and how many columns of channels."""
    return triton.cdiv(walk["N"], walk["ROWS"]), triton.cdiv(walk["C"], walk["WIDTH"])


def shared(walk: dict[str, Any]) -> tuple[int, int]:
    """How many tiles a program takes that has more than one, and into how many chunks that makes them."""
    tiles, columns = grid(walk)
    each = triton.cdiv(tiles * columns, PROGRAMS)
    return each, triton.cdiv(tiles, each)


def start(kernel: Any, programs: int, x: Tensor, *arguments: Any, **more: Any) -> None:
    """Start so many programs of a kernel on the device of its first argument."""
    with torch.cuda.device_of(x):
        kernel[(programs,)](x, *arguments, **more)


def parts(x: Tensor, chunks: int, channels: int) -> Tensor:
    return torch.empty(chunks, 2, channels, dtype=torch.float64, device=x.device)


def statistics(x: Tensor) -> Tensor:
    """Mean and biased variance of each channel, [2, C]; not of nothing. Summed is what values are apart from the first one: no
    digits are lost."""
    x, walk = walked(x, flat=True)
    if walk["stride"] == 0:
        walk["T"] = 1
    each, chunks = shared(walk)
    own = parts(x, chunks, walk["C"])
    start(gpu_kernels.sums, chunks * grid(walk)[1], x, None, None, own, each=each, **walk)
    found, C, number = torch.empty_like(own[0]), walk["C"], float(walk["T"] * walk["N"])
    start(gpu_kernels.moments, triton.cdiv(C, CHANNELS), own, x, found, chunks, C, walk["S"], count=number, **ADDED)
    return found


def totals(own: Tensor) -> Tensor:
    """Of all chunks."""
    chunks, _, C = own.shape
    found = torch.empty_like(own[0])
    start(gpu_kernels.totals, triton.cdiv(C, CHANNELS), own, found, chunks, C, **ADDED)
    return found


def norm(found: Tensor | None, count: float | Tensor, bn: BatchNorm2d, update: bool = False) -> Tensor:
    """The norm of mean and biased variance of `count` values a channel, which also go into the running statistics where those
    are to be updated; without such, of the running ones."""
    weight = bn.weight
    made = torch.empty(4, bn.num_features, dtype=torch.promote_types(weight.dtype, torch.float32), device=weight.device)
    running = (bn.running_mean, bn.running_var) if found is None or update else (None, None)
    tracked = bn.num_batches_tracked if update else None
    at, number = counted(count)
    start(
        gpu_kernels.norm, triton.cdiv(bn.num_features, BLOCK), weight, bn.bias, *running, tracked, found, at, made,
        bn.num_features,
        count=number, eps=bn.eps, momentum=bn.momentum or 0.0, repeats=float(bn.repeats), BLOCK=BLOCK,
    )  # fmt: skip
    return made


def counted(count: float | Tensor) -> tuple[Tensor | None, float]:
    """A count on the device, which is not waited for, or the number."""
    return (count, 0.0) if isinstance(count, Tensor) else (None, float(count))


def lif(x: Tensor, neuron: LIF, norm: Tensor | None = None) -> Tensor:
    """Spikes of a current, normalised where there is a norm."""
    if x.numel() == 0:
        return torch.empty_like(x)
    kept = len(x) if len(x) <= KEPT else 0
    x, walk = walked(x, norm is not None, elements_forward(len(x), x.dtype))
    spikes = like(x)
    tiles, columns = grid(walk)
    constants = {"decay": neuron.decay, "threshold": neuron.threshold}
    start(gpu_kernels.lif, tiles * columns, x, norm, spikes, KEPT=kept, **constants, **walk)
    return spikes


def lif_backward(
    x: Tensor,
    neuron: LIF,
    of_spikes: Tensor,
    more: Tensor | None = None,
    norm: Tensor | None = None,
    own: bool = False,
    spikes: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The gradient of the (normalised) current, from that of its spikes; plus `more`, what comes to it by another way.

    And, where there is a norm: the sums [2, C] over each channel of that gradient and of it times x - mean. `own`: the
    spikes' gradient is nobody else's, and may be written over. `spikes`, of x's own order, are filled.
    """
    if x.numel() == 0:
        sums = None if norm is None else torch.zeros(2, x.shape[2], dtype=torch.float64, device=x.device)
        return torch.zeros_like(x), sums
    kept = len(x) if len(x) <= KEPT else 0
    x, walk = walked(x, norm is not None, elements_back(len(x), x.dtype))
    given, added = in_order_of(x, of_spikes), in_order_of(x, more)
    assert given is not None
    out = given if own or given is not of_spikes else like(x)
    each, chunks = shared(walk) if norm is not None or not kept else (1, grid(walk)[0])
    programs = chunks * grid(walk)[1]
    scratch = None
    if not kept:
        exact = torch.promote_types(x.dtype, torch.float32)
        scratch = torch.empty(programs, len(x), walk["ROWS"] * walk["WIDTH"], dtype=exact, device=x.device)
    each_own = None if norm is None else parts(x, chunks, walk["C"])
    width = neuron.surrogate_width
    start(
        gpu_kernels.lif_backward, programs, x, norm, given, added, out, spikes, each_own, scratch, each=each,
        decay=neuron.decay, threshold=neuron.threshold, inverse=1 / width, half=width / 2,
        TRIANGLE=neuron.surrogate == "triangle", DETACHED=neuron.detach_reset, KEPT=kept, **walk,
    )  # fmt: skip
    return out, None if each_own is None else totals(each_own)


def sums(x: Tensor, norm: Tensor, g: Tensor) -> Tensor:
    """Sums [2, C] over each channel of g and of g * (x - mean)."""
    if x.numel() == 0:
        return torch.zeros(2, x.shape[2], dtype=torch.float64, device=x.device)
    x, walk = walked(x, flat=True)
    each, chunks = shared(walk)
    own = parts(x, chunks, walk["C"])
    start(gpu_kernels.sums, chunks * grid(walk)[1], x, norm, in_order_of(x, g), own, each=each, **walk)
    return totals(own)


def gradients(
    own: Tensor, everywhere: Tensor, norm: Tensor, count: float | Tensor, bn: BatchNorm2d
) -> tuple[Tensor, Tensor, Tensor]:
    """From `sums`, this process's and those of all: factor of x and constant, [2, C], of x's gradient, whose g counts `scale`;
    and the gradients of weight and bias. `count` values a channel made the norm; 0: none, its statistics were the running ones.
    """
    made, of_weight, of_bias = torch.empty_like(norm[:2]), torch.empty_like(bn.weight), torch.empty_like(bn.bias)
    at, number = counted(count)
    start(
        gpu_kernels.gradients, triton.cdiv(bn.num_features, BLOCK), own, everywhere, norm, at, made, of_weight, of_bias,
        bn.num_features, count=number, BLOCK=BLOCK,
    )  # fmt: skip
    return made, of_weight, of_bias


def affine(
    x: Tensor, scale: Tensor, shift: Tensor, g: Tensor | None, factor: Tensor | None = None, own: bool = False
) -> Tensor:
    """scale * x + shift by channel, plus g, or factor * g; `own`: g is nobody else's, and may be written over."""
    if x.numel() == 0:
        return torch.empty_like(x)
    x, walk = walked(x, flat=True)
    given = in_order_of(x, g)
    out = given if given is not None and (own or given is not g) else like(x)
    tiles, columns = grid(walk)
    start(gpu_kernels.affine, tiles * columns, x, scale, shift, given, factor, out, **walk)
    return out


def gate(current: Tensor, spatial: Tensor, temporal: Tensor, neuron: LIF) -> Tensor:
    """sigmoid(temporal * spatial) * spikes, [T, B, ...], of the spikes of a current that is the same at each step.

    current, spatial: [B, ...]; temporal: [T, B].
    """
    x, a, walk = images(current, spatial, TILE)
    T, step = len(temporal), x.numel()
    out = like(x.expand(T, *x.shape))
    if step:
        constants = {"decay": neuron.decay, "threshold": neuron.threshold}
        start(gpu_kernels.gate, programs(walk), x, a, temporal.contiguous(), out, T=T, step=step, **constants, **walk)
    return out


def gate_backward(
    current: Tensor, spatial: Tensor, temporal: Tensor, neuron: LIF, g: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of current, spatial and temporal; of KEPT steps at most."""
    T = len(temporal)
    x, a, walk = images(current, spatial, elements_back(T, current.dtype))
    of_current, of_spatial = torch.empty_like(x), torch.empty_like(x)
    if x.numel() == 0:
        return of_current, of_spatial, torch.zeros_like(temporal)
    given = in_order_of(x.expand(g.shape), g)
    exact = torch.promote_types(x.dtype, torch.float32)
    parts = torch.empty(triton.cdiv(walk["P"], walk["BLOCK"]), T, len(x), dtype=exact, device=x.device)
    width = neuron.surrogate_width
    start(
        gpu_kernels.gate_backward, programs(walk), x, a, temporal.contiguous(), given, of_current, of_spatial, parts,
        step=x.numel(), decay=neuron.decay, threshold=neuron.threshold, inverse=1 / width, half=width / 2,
        TRIANGLE=neuron.surrogate == "triangle", DETACHED=neuron.detach_reset, KEPT=T, **walk,
    )  # fmt: skip
    return of_current, of_spatial, parts.sum(dim=0).to(temporal.dtype)


def images(current: Tensor, spatial: Tensor, elements: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Both as the kernels of the gate walk them, image by image, copied where they have to be; and how."""
    if current.numel():
        current = dense(current[None])[0][0]
    other = in_order_of(current[None], spatial[None])
    assert other is not None
    B = len(current)
    walk = {"P": current.numel() // max(B, 1), "B": B, "BLOCK": elements, "WIDE": is_wide(current.numel())}
    return current, other[0], walk | {"ACC": TYPES[current.dtype]}


def programs(walk: dict[str, Any]) -> int:
    return walk["B"] * triton.cdiv(walk["P"], walk["BLOCK"])
