"""The CPU's kernels (`cpu.c`) as functions of tensors.

Tensors are [T, B, C, ...], T first, in the orders of `layout.py`. A `norm` is a batch norm as it stands, rows of [4, C] in
float64: mean, 1 / deviation, scale and shift; x normalised is scale * x + shift.
"""

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gacsnn.batchnorm import BatchNorm2d
from gacsnn.kernels.build import shared_library
from gacsnn.kernels.layout import dense, in_order_of, like
from gacsnn.neuron import LIF

DEVICE = "cpu"

# What `cpu.c` calls its types.
TYPES = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16"}

# As in cpu.c: the most elements of a tile, and how many chunks there are whose sums are added up in order.
MOST, CHUNKS = 2048, 64

# Elements of all steps of a tile: they should fit the first cache.
IN_CACHE = 8192

# Below so many elements a second thread costs more than it saves.
SHARED = 1 << 15


class Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_long) for name in ("T", "P", "C", "S", "stride", "L")),
        ("threads", ctypes.c_int),
    )


class Neuron(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_double) for name in ("decay", "threshold", "width")),
        *((name, ctypes.c_int) for name in ("triangle", "detach_reset")),
    )


class BatchNorm(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_double) for name in ("eps", "momentum", "repeats")),
        ("C", ctypes.c_long),
        ("wide", ctypes.c_int),
    )


def prepare() -> None:
    """Have the library compiled and loaded.

    Raises:
        BuildError: when that cannot be.
    """
    shared_library()


@cache
def function(name: str, dtype: torch.dtype | None = None) -> Any:
    """A function of the library, for elements of this type. Tensors are given by their addresses, structures by themselves."""
    found = getattr(shared_library(), name if dtype is None else f"{name}_{TYPES[dtype]}")
    found.argtypes, found.restype = ARGUMENTS[name], None
    return found


P, D = ctypes.c_void_p, ctypes.c_double
ARGUMENTS = {
    "lif": (P, P, P, ctypes.POINTER(Shape), ctypes.POINTER(Neuron)),
    "lif_backward": (P, P, P, P, P, P, P, P, ctypes.POINTER(Shape), ctypes.POINTER(Neuron)),
    "sums": (P, P, P, P, P, ctypes.POINTER(Shape)),
    "statistics": (P, P, P, ctypes.POINTER(Shape)),
    "affine": (P, P, P, P, P, P, ctypes.POINTER(Shape)),
    "norm": (P, D, P, P, P, P, P, ctypes.POINTER(BatchNorm)),
    "gradients": (P, P, P, D, P, P, P, ctypes.POINTER(BatchNorm)),
}


def of_lif(lif: LIF) -> Neuron:
    return Neuron(lif.decay, lif.threshold, lif.surrogate_width, lif.surrogate == "triangle", lif.detach_reset)


def of_bn(bn: BatchNorm2d) -> BatchNorm:
    """Raises TypeError for parameters or statistics that `cpu.c` would not read as they are."""
    types = {x.dtype for x in (bn.weight, bn.bias, bn.running_mean, bn.running_var) if x is not None}
    if types not in ({torch.float32}, {torch.float64}):
        found = ", ".join(sorted(map(str, types)))
        raise TypeError(
            f"batch norm's parameters and statistics should be float32 or float64, all of them, not {found}"
        )
    return BatchNorm(bn.eps, bn.momentum or 0, bn.repeats, bn.num_features, bn.weight.dtype == torch.float64)


def walked(x: Tensor, norm: bool = True) -> tuple[Tensor, Shape]:
    """x as the kernels walk it, copied where it has to be, and how: by channel where there is a norm."""
    x, S, stride = dense(x)
    T, elements = len(x), x.numel() // len(x)
    channels = x.shape[2] if norm else 1
    length = max(16, min(MOST, IN_CACHE // T))
    if S == 1 and channels <= length:
        length -= length % channels
    threads = torch.get_num_threads() if T * elements >= SHARED else 1
    return x, Shape(T, elements, channels, S if norm else 1, stride, length, threads)


def at(x: Tensor | None) -> int | None:
    """The address of a tensor, which has to be somebody's for as long as it is used."""
    return None if x is None else x.data_ptr()


def parts(channels: int) -> Tensor:
    return torch.empty(CHUNKS, 2, channels, dtype=torch.float64)


def statistics(x: Tensor) -> Tensor:
    """Mean and biased variance of each channel, [2, C]; not of nothing."""
    x, shape = walked(x)
    found, each = torch.zeros(2, shape.C, dtype=torch.float64), parts(shape.C)
    function("statistics", x.dtype)(at(x), at(found), at(each), shape)
    return found


def norm(found: Tensor | None, count: float | Tensor, bn: BatchNorm2d, update: bool = False) -> Tensor:
    """The norm of mean and biased variance of `count` values a channel, which also go into the running statistics where those
    are to be updated; without such, of the running ones."""
    made = torch.empty(4, bn.num_features, dtype=torch.float64)
    running = (bn.running_mean, bn.running_var) if found is None or update else (None, None)
    addresses = map(at, (bn.weight, bn.bias, *running, made))
    function("norm")(at(found), float(count), *addresses, of_bn(bn))
    if update:
        assert bn.num_batches_tracked is not None
        bn.num_batches_tracked += 1
    return made


def lif(x: Tensor, neuron: LIF, norm: Tensor | None = None) -> Tensor:
    """Spikes of a current, normalised where there is a norm."""
    if x.numel() == 0:
        return torch.empty_like(x)
    x, shape = walked(x, norm is not None)
    spikes = like(x)
    function("lif", x.dtype)(at(x), at(norm), at(spikes), shape, of_lif(neuron))
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
    channels = 1 if norm is None else x.shape[2]
    sums = None if norm is None else torch.zeros(2, channels, dtype=torch.float64)
    if x.numel() == 0:
        return torch.zeros_like(x), sums
    x, shape = walked(x, norm is not None)
    given, added = in_order_of(x, of_spikes), in_order_of(x, more)
    assert given is not None
    out = given if own or given is not of_spikes else like(x)
    each = parts(channels) if norm is not None else None
    addresses = map(at, (x, norm, given, added, out, spikes, sums, each))
    function("lif_backward", x.dtype)(*addresses, shape, of_lif(neuron))
    return out, sums


def sums(x: Tensor, norm: Tensor, g: Tensor) -> Tensor:
    """Sums [2, C] over each channel of g and of g * (x - mean)."""
    found = torch.zeros(2, x.shape[2], dtype=torch.float64)
    if x.numel():
        x, shape = walked(x)
        given, each = in_order_of(x, g), parts(shape.C)
        function("sums", x.dtype)(*map(at, (x, norm, given, found, each)), shape)
    return found


def gradients(
    own: Tensor, everywhere: Tensor, norm: Tensor, count: float | Tensor, bn: BatchNorm2d
) -> tuple[Tensor, Tensor, Tensor]:
    """From `sums`, this process's and those of all: factor of x and constant, [2, C], of x's gradient, whose g counts `scale`;
    and the gradients of weight and bias. `count` values a channel made the norm; 0: none, its statistics were the running ones.
    """
    made, of_weight, of_bias = torch.empty_like(own), torch.empty_like(bn.weight), torch.empty_like(bn.bias)
    addresses = map(at, (own, everywhere, norm))
    function("gradients")(*addresses, float(count), *map(at, (made, of_weight, of_bias)), of_bn(bn))
    return made, of_weight, of_bias


def affine(
    x: Tensor, scale: Tensor, shift: Tensor, g: Tensor | None, factor: Tensor | None = None, own: bool = False
) -> Tensor:
    """scale * x + shift by channel, plus g, or factor * g; `own`: g is nobody else's, and may be written over."""
    if x.numel() == 0:
        return torch.empty_like(x)
    x, shape = walked(x)
    given = in_order_of(x, g)
    out = given if given is not None and (own or given is not g) else like(x)
    function("affine", x.dtype)(*map(at, (x, scale, shift, given, factor, out)), shape)
    return out
