"""The golden cases taken as checkpoints that the authors publish, and the networks that such files are loaded into."""

from collections.abc import Mapping

import torch
from fidelity import Case
from torch import Tensor

from gacsnn import create_model
from gacsnn.models import SpikingResNet
from gacsnn.weights import reference_names

State = dict[str, Tensor]

CIFAR4 = "cifar-r18-gac-T4-C10"
CIFAR6 = "cifar-r18-gac-T6-C100"
DIRECT = "cifar-r18-direct-T4-C100"
IMAGENET = "imagenet-r18-gac-T4-C1000"
CASES = [CIFAR4, DIRECT, IMAGENET]


def network(case: Case, **other: object) -> SpikingResNet:
    """The network of a case, in float32 and with other weights than the case's."""
    about = case.about
    options: dict[str, object] = {
        "name": f"resnet{about['depth']}",
        "T": about["T"],
        "num_classes": about["num_classes"],
        "encoder": "gac" if about["gac"] else "direct",
        "layout": case.layout,
        **other,
    }
    with torch.device("meta"):  # random weights take longer than the tests
        model = create_model(**options)  # type: ignore[arg-type]
    model = model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(7)
    return model


def ours(case: Case) -> State:
    """What the golden state is under our names: one name of each tensor, found by hand among the authors'."""
    found = {}
    for key, names in reference_names(network(case)).items():
        tensor = next(case.state[name] for name in names if name in case.state)
        found[key] = tensor.flatten(1) if "temporal" in key else tensor
    return found


def single(case: Case) -> State:
    """The case's tensors as an author's file holds them, in float32."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in case.state.items()}


def holds(model: SpikingResNet, expected: Mapping[str, Tensor]) -> None:
    state = model.state_dict()
    assert set(state) == set(expected)
    for key, tensor in state.items():
        assert torch.equal(tensor, expected[key].to(tensor.dtype)), key


def groups(case: Case) -> list[list[str]]:
    """The authors' names that stand for one tensor."""
    names = reference_names(network(case)).values()
    return [[name for name in group if name in case.state] for group in names]
