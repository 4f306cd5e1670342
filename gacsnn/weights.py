"""Loading weights into a network, all or none: ours, and those of the authors' checkpoints.

The reference registers many tensors under several names (a layer, the same layer inside a time-distributed wrapper,
...); any of them will do. Its names differ between the CIFAR and the ImageNet programs.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gacsnn.encoders import GAC
from gacsnn.errors import InputError, other_steps
from gacsnn.models import SpikingResNet

# The networks that the authors' programs can build.
RELEASED = {("cifar", "resnet18"), ("imagenet", "resnet18"), ("imagenet", "resnet34")}


# What training tools put before every name: DDP, Lightning (its attribute's name). torch.compile puts `_orig_mod.` anywhere.
WRAPPER = re.compile(r"^(?:(?:module|model|net)\.)+")


def load_weights(model: nn.Module, weights: Mapping[str, Any], source: str) -> None:
    """Load a state dict with the model's own names, all of it or nothing. Every load of weights ends here.

    A floating-point tensor takes the model's type from any floating-point type; a count takes it from whole numbers.

    Args:
        model: the network. It stays as it was if an error is raised.
        weights: tensors by name, with or without the prefixes of `plain_names`. Other values under other names are passed over.
        source: begins the message of an error.

    Raises:
        InputError: naming the tensors that are missing, left over, of another shape, of a wrong type, or not finite.
    """
    own, given = model.state_dict(), plain_names(weights, source)
    given = {name: value for name, value in given.items() if name in own or isinstance(value, Tensor)}
    missing = [name for name in own if name not in given]
    extra = [name for name in given if name not in own]
    there = {name: given[name] for name in own if name in given}
    shapes = [
        f"{name} is {list(value.shape)} there and {list(own[name].shape)} here"
        for name, value in there.items()
        if isinstance(value, Tensor) and value.shape != own[name].shape
    ]
    faults = [
        *([f"{len(missing)} tensors are missing, {missing[0]} first"] if missing else []),
        *([f"{len(extra)} are left over, {extra[0]} first"] if extra else []),
        *([f"{len(shapes)} differ in shape: {shapes[0]}"] if shapes else []),
    ]
    if faults:
        raise InputError(f"{source}: of another architecture: {'; '.join(faults)}")
    model.load_state_dict({name: converted(name, value, own[name].dtype, source) for name, value in there.items()})


def plain_names(state: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the state dict without the prefixes `module.`, `model.`, `net.` and `_orig_mod.`, in whatever order they stand.

    Raises:
        InputError: if two entries have the same name then, and differ.
    """
    found: dict[str, tuple[str, Any]] = {}
    for key, value in state.items():
        name = plain_name(str(key))
        first, before = found.setdefault(name, (str(key), value))
        if not is_same(before, value):
            raise InputError(f"{source}: {first} and {key} are one tensor, but differ in this file")
    return {name: value for name, (_, value) in found.items()}


def plain_name(name: str) -> str:
    """Return a tensor's name without the prefixes of training tools."""
    return WRAPPER.sub("", name.replace("_orig_mod.", ""))


def is_same(one: Any, other: Any) -> bool:
    """Return whether two entries of a state dict may stand for one tensor. A faulty first one is refused where it is loaded."""
    if one is other or fault_of(one) is not None:
        return True
    return fault_of(other) is None and one.dtype == other.dtype and torch.equal(one, other)


def fault_of(value: Any) -> str | None:
    """Return the reason why a state dict's entry cannot be a weight, or None."""
    if not isinstance(value, Tensor):
        return f"is of type {type(value).__name__}, and should be a tensor"
    kinds = {
        "sparse": value.layout is not torch.strided,
        "quantised": value.is_quantized,
        "complex": value.is_complex(),
        "without values": value.is_meta,
    }
    if kind := next((kind for kind, holds in kinds.items() if holds), None):
        return f"is {kind}, and should be a dense tensor of real numbers"
    if value.is_floating_point() and not value.double().isfinite().all():
        return "is not finite"
    return None


def converted(name: str, value: Any, dtype: torch.dtype, source: str) -> Tensor:
    """Return a state dict's entry in the type of the model's tensor.

    Raises:
        InputError: if it cannot be a weight (`fault_of`), or its numbers do not fit the type.
    """
    fault = fault_of(value)
    if fault is None and dtype.is_floating_point and not value.is_floating_point():
        fault = f"is of type {str(value.dtype).removeprefix('torch.')}, and should be floating point"
    tensor = value if fault else value.to(dtype)
    if fault is None and dtype.is_floating_point and not tensor.isfinite().all():
        fault = f"has numbers beyond the range of {str(dtype).removeprefix('torch.')}"
    if fault is None and not dtype.is_floating_point and not torch.equal(tensor.double(), value.double()):
        fault = "should be a whole number"
    if fault:
        raise InputError(f"{source}: {name} {fault}")
    return tensor


def is_ours(model: nn.Module, state: Mapping[str, Any]) -> bool:
    """Return whether a bare state dict has our names of tensors, of which the authors use none."""
    return not model.state_dict().keys().isdisjoint(plain_name(str(name)) for name in state)


def load_state(model: SpikingResNet, state: Mapping[str, Any], source: str = "state_dict") -> None:
    """Load a bare state dict, ours or the authors', with or without prefixes (`plain_names`); all of it or nothing.

    It says nothing of what is no weight: the neuron's constants, how images are normalised, and the classes' names.

    Raises:
        InputError: as `load_weights` and `load_reference` do.
    """
    if is_ours(model, state):
        own = plain_names(state, source)
        _check_steps(model, own, source, "encoder.temporal.mlp.0.weight")
        load_weights(model, own, source)
    else:
        load_reference(model, state, source)


def reference_names(model: SpikingResNet, source: str = "reference") -> dict[str, list[str]]:
    """For each key of our state dict, the names of that tensor in the reference, the shortest name first.

    Raises:
        InputError: when the authors' programs have no such network.
    """
    if (model.layout, model.name) not in RELEASED:
        known = ", ".join(f"{name} in the layout {layout}" for layout, name in sorted(RELEASED))
        raise InputError(
            f"{source}: the authors' programs have no {model.name} in the layout {model.layout}; they have {known}"
        )
    names = _cifar_names if model.layout == "cifar" else _imagenet_names
    return {key: names(key) for key in model.state_dict()}


def load_reference(model: SpikingResNet, state_dict: Mapping[str, Any], source: str = "state_dict") -> None:
    """Load a state dict with the authors' key names, all of it or nothing.

    Args:
        model: from `create_model`, with the same depth, T, classes, encoder and layout.
        state_dict: the authors' tensors, with or without prefixes (`plain_names`), under any of their names.
        source: what to call it in an error.

    Raises:
        InputError: a `ValueError` that names keys that are missing, left over, of another shape or type, not finite, or two
            names of one tensor that disagree; or says that the T of the two differ.
    """
    given = plain_names(state_dict, source)
    _check_steps(model, given, source, "encoding.TA.sharedMLP.0.weight")
    found: dict[str, Any] = {}
    missing: list[str] = []
    for key, names in reference_names(model, source).items():
        present = [given.pop(name) for name in names if name in given]
        if not present:
            missing.append(names[0])
            continue
        if any(not is_same(present[0], other) for other in present[1:]):
            raise InputError(f"{source}: {' and '.join(names)} are one tensor, but differ in this file")
        value = present[0]
        # TA's linear layers are 1x1x1 convolutions there.
        flat = key.startswith("encoder.temporal.") and isinstance(value, Tensor) and value.dim() == 5
        found[key] = value.flatten(1) if flat else value
    extra = [name for name, value in given.items() if isinstance(value, Tensor)]
    if missing or extra:
        faults = [
            *([f"{len(missing)} tensors are missing: {_few(missing)}"] if missing else []),
            *([f"{len(extra)} are left over: {_few(extra)}"] if extra else []),
        ]
        raise InputError(f"{source}: of another architecture: {'; '.join(faults)}")
    load_weights(model, found, source)


def _check_steps(model: SpikingResNet, given: Mapping[str, Any], source: str, name: str) -> None:
    """The temporal attention's first weight, of that name, is [T // 2, T, ...] and tells the T of the file."""
    first = given.get(name)
    gated = isinstance(model.encoder, GAC)
    if gated and isinstance(first, Tensor) and first.dim() > 1 and first.shape[1] != model.T:
        raise InputError(f"{source}: {other_steps(first.shape[1], model.T)}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _split(key: str) -> tuple[str, str]:
    """`stages.0.1.bn1.weight` -> (`stages.0.1.bn1`, `weight`)."""
    module, _, tensor = key.rpartition(".")
    return module, tensor


def _gate_names(module: str, tensor: str) -> list[str]:
    part, _, layer = module.removeprefix("encoder.").partition(".")
    if part == "temporal":
        return [f"encoding.TA.sharedMLP.{layer.removeprefix('mlp.')}.{tensor}"]
    return [f"encoding.SCA.sharedMLP.{0 if layer == 'conv1' else 2}.{tensor}"]


def _cifar_names(key: str) -> list[str]:
    module, tensor = _split(key)

    def layer(plain: str, wrapped: str) -> list[str]:
        return [f"{plain}.{tensor}", f"{wrapped}.layer.module.{tensor}"]

    def norm(*homes: str) -> list[str]:
        return [f"{home}.{name}.{tensor}" for home in homes for name in ("bn", "seqbn.module")]

    if module == "encoder.stem.0":
        return layer("conv1", "conv1_s")
    if module == "encoder.stem.1":
        return norm("bn1", "conv1_s.bn")
    if module == "head.linear":
        return layer("fc1", "fc1_s")
    if module.startswith("encoder."):
        return _gate_names(module, tensor)
    _, stage, block, part = module.split(".", 3)
    home = f"layer{int(stage) + 1}.{block}"
    if part.startswith("conv"):
        return layer(f"{home}.{part}", f"{home}.{part}_s")
    if part.startswith("bn"):
        return norm(f"{home}.{part}", f"{home}.conv{part[2:]}_s.bn")
    if part == "shortcut.0":
        return [f"{home}.downsample.layer.module.{tensor}"]
    return norm(f"{home}.downsample.bn")


def _imagenet_names(key: str) -> list[str]:
    module, tensor = _split(key)
    if module == "encoder.stem.0":
        return [f"conv1.0.{tensor}"]
    if module == "encoder.stem.1":
        return [f"conv1.1.bn.{tensor}"]
    if module == "head.linear":
        return [f"fc1.{tensor}", f"fc1_s.layer.module.{tensor}"]
    if module.startswith("encoder."):
        return _gate_names(module, tensor)
    _, stage, block, part = module.split(".", 3)
    home = f"conv{int(stage) + 2}_x.{block}.{part}"
    return [f"{home}.bn.{tensor}" if part in ("bn1", "bn2", "shortcut.1") else f"{home}.{tensor}"]
