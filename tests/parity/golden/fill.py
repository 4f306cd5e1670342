"""Deterministic weights and inputs for the golden files (numpy only).

`fill(name, shape, kind, seed)` returns the float64 array of one tensor. `name` is the tensor's key in the
reference's own state dict (the canonical key where a tensor is registered under several), so the same numbers can
be made anywhere without shipping 50 MB of weights.

kind     value
conv     N(0, 1) * gain / sqrt(fan_in), fan_in = prod(shape[1:])
conv.abs |conv|
linear   N(0, 1) / sqrt(fan_in)
bias     U(-0.1, 0.1)
bn.w     U(0.9, 1.1) * gain
bn.b     U(-0.1, 0.1) + shift
bn.mean  N(0, 1) * 0.1
bn.var   U(0.8, 1.2)
bn.n     0
"""

import zlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))


def fill(name: str, shape: tuple[int, ...], kind: str, seed: int, gain: float = 1.0, shift: float = 0.0) -> np.ndarray:
    rng = stream(seed, name)
    if kind in ("conv", "linear"):
        return rng.standard_normal(shape) * gain / np.sqrt(np.prod(shape[1:]))
    if kind == "conv.abs":
        return np.abs(fill(name, shape, "conv", seed, gain))
    if kind == "bias":
        return rng.uniform(-0.1, 0.1, shape)
    if kind == "bn.w":
        return rng.uniform(0.9, 1.1, shape) * gain
    if kind == "bn.b":
        return rng.uniform(-0.1, 0.1, shape) + shift
    if kind == "bn.mean":
        return rng.standard_normal(shape) * 0.1
    if kind == "bn.var":
        return rng.uniform(0.8, 1.2, shape)
    if kind == "bn.n":
        return np.zeros(shape, dtype=np.int64)
    raise ValueError(f"unknown kind {kind!r} for {name}")


def state(spec: dict, seed: int) -> dict[str, np.ndarray]:
    """All tensors of a state dict; spec is the `tensors` object of keys-*.json."""
    own = {
        k: fill(k, tuple(v["shape"]), v["kind"], seed, v.get("gain", 1.0), v.get("shift", 0.0))
        for k, v in spec.items()
        if "same_as" not in v
    }
    return {k: own[v.get("same_as", k)] for k, v in spec.items()}


def batch(seed: int, shape: tuple[int, ...], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images N(0, 1), [B, 3, H, W] float64, and labels, [B] int64."""
    x = stream(seed, "images").standard_normal(shape)
    y = stream(seed, "labels").integers(0, num_classes, shape[0])
    return x, y
