"""Loading weights into a network, all or none: ours, and those of the authors' checkpoints.

The reference registers many tensors under several names (a layer, the same layer inside a time-distributed wrapper,
...); any of them will do. Its names differ between the CIFAR and the ImageNet programs.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gacsnn.encoders import GAC
from gacsnn.errors import InputError, other_steps
from gacsnn.models import SpikingResNet

# The networks that the authors' programs can build.
RELEASED = {("cifar", "resnet18"), ("imagenet", "resnet18"), ("imagenet", "resnet34")}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put the weights into the model, all or none. `source` begins the message of an error.

    Raises:
        InputError: naming what is missing, left over or of another shape.
    """
    own = model.state_dict()
    weights = {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}
    missing = [name for name in own if name not in weights]
    extra = [name for name in weights if name not in own]
    shapes = [
        f"{name} is {list(weights[name].shape)} there and {list(own[name].shape)} here"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    faults = [
        *([f"{len(missing)} tensors are missing, {missing[0]} first"] if missing else []),
        *([f"{len(extra)} are left over, {extra[0]} first"] if extra else []),
        *([f"{len(shapes)} differ in shape: {shapes[0]}"] if shapes else []),
    ]
    if faults:
        raise InputError(f"{source}: of another architecture: {'; '.join(faults)}")
    model.load_state_dict(dict(weights))


def is_ours(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Whether a bare state dict has our names of tensors, of which the authors use none."""
    return not model.state_dict().keys().isdisjoint(name.removeprefix("module.") for name in state)


def load_state(model: SpikingResNet, state: Mapping[str, Tensor], source: str = "state_dict") -> None:
    """Load a bare state dict, ours or the authors', with or without `module.` before the names; all of it or nothing.

    It says nothing of what is no weight: the neuron's constants, how images are normalised, and the classes' names.

    Raises:
        InputError: as `load_weights` and `load_reference` do.
    """
    if is_ours(model, state):
        own = {name.removeprefix("module."): tensor for name, tensor in state.items()}
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


def load_reference(model: SpikingResNet, state_dict: Mapping[str, Tensor], source: str = "state_dict") -> None:
    """Load a state dict with the authors' key names, all of it or nothing.

    Args:
        model: from `create_model`, with the same depth, T, classes, encoder and layout.
        state_dict: the authors' tensors, with or without `module.` before the names, under any of their names.
        source: what to call it in an error.

    Raises:
        InputError: a `ValueError` that names keys that are missing, left over, of another shape, or two names of one
            tensor that disagree; or says that the T of the two differ.
    """
    given: dict[str, Tensor] = {}
    for key, tensor in state_dict.items():
        name = key.removeprefix("module.")
        if name in given and not torch.equal(given[name], tensor):
            raise InputError(f"{source}: {name} and module.{name} are one tensor, but differ in this file")
        given[name] = tensor
    _check_steps(model, given, source, "encoding.TA.sharedMLP.0.weight")
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    missing: list[str] = []
    for key, names in reference_names(model, source).items():
        present = [given.pop(name) for name in names if name in given]
        if not present:
            missing.append(names[0])
            continue
        if any(not torch.equal(present[0], other) for other in present[1:]):
            raise InputError(f"{source}: {' and '.join(names)} are one tensor, but differ in this file")
        # TA's linear layers are 1x1x1 convolutions there.
        flat = present[0].flatten(1) if key.startswith("encoder.temporal.") and present[0].dim() == 5 else present[0]
        found[key] = flat
    if missing or given:
        faults = [
            *([f"{len(missing)} tensors are missing: {_few(missing)}"] if missing else []),
            *([f"{len(given)} are left over: {_few(list(given))}"] if given else []),
        ]
        raise InputError(f"{source}: of another architecture: {'; '.join(faults)}")
    load_weights(model, {key: tensor.to(own[key].dtype) for key, tensor in found.items()}, source)


def _check_steps(model: SpikingResNet, given: Mapping[str, Tensor], source: str, name: str) -> None:
    """The temporal attention's first weight, of that name, is [T // 2, T, ...] and tells the T of the file."""
    first = given.get(name)
    gated = isinstance(model.encoder, GAC)
    if gated and first is not None and first.dim() > 1 and first.shape[1] != model.T:
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
