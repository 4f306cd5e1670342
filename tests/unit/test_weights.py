"""Weights are put into a network whole, ours and the authors', or not at all with one line that says why."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from fidelity import Case
from published import CASES, CIFAR4, DIRECT, IMAGENET, groups, holds, network, ours
from torch import Tensor, nn

from gacsnn import load_reference
from gacsnn.errors import InputError
from gacsnn.models import SpikingResNet
from gacsnn.weights import load_state, load_weights, reference_names


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: (9 * torch.rand(tensor.shape)).to(tensor.dtype) for name, tensor in model().state_dict().items()}


def test_weights_are_loaded_by_name() -> None:
    network, given = model(), weights()
    load_weights(network, given, Path("best.pt"))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, given[name].to(tensor.dtype)), name


@pytest.mark.parametrize(
    ("drop", "add", "words"),
    [
        (["0.bias", "1.weight"], {}, ["2 tensors are missing", "0.bias"]),
        ([], {"2.weight": (1,), "3.bias": (2,)}, ["2 are left over", "2.weight"]),
        (["0.weight"], {"0.weight": (3, 5)}, ["1 differ in shape", "0.weight is [3, 5] there and [3, 2] here"]),
        (["1.running_var"], {"9.x": (1,), "0.bias": (4,)}, ["1.running_var", "9.x", "0.bias is [4] there"]),
    ],
    ids=["missing", "left over", "shape", "all three"],
)
def test_weights_of_another_network_are_named_and_change_nothing(
    drop: list[str], add: dict[str, tuple[int, ...]], words: list[str]
) -> None:
    network = model()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    given = {name: tensor for name, tensor in weights().items() if name not in drop}
    given |= {name: torch.zeros(shape) for name, shape in add.items()}
    with pytest.raises(InputError) as refused:
        load_weights(network, given, Path("best.pt"))
    assert all(word in str(refused.value) for word in ["best.pt", *words])
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def faulty(name: str, value: object) -> dict[str, object]:
    return {**weights(), name: value}


with warnings.catch_warnings(action="ignore"):  # torch deprecates quantised tensors; files hold them
    QUANTISED = torch.quantize_per_tensor(torch.rand(3, 2), 0.1, 0, torch.qint8)
FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "nan": (faulty("0.weight", torch.full((3, 2), torch.nan)), "0.weight is not finite"),
    "infinite": (faulty("1.running_var", torch.tensor([1.0, 1.0, torch.inf])), "1.running_var is not finite"),
    "beyond float32": (faulty("0.bias", torch.full((3,), 1e300, dtype=torch.float64)), "0.bias has numbers beyond"),
    "integer": (
        faulty("0.weight", torch.ones(3, 2, dtype=torch.int8)),
        "0.weight is of type int8, and should be floating",
    ),
    "boolean": (
        faulty("0.weight", torch.ones(3, 2, dtype=torch.bool)),
        "0.weight is of type bool, and should be floating",
    ),
    "complex": (faulty("0.weight", torch.ones(3, 2, dtype=torch.complex64)), "0.weight is complex"),
    "sparse": (faulty("0.weight", torch.eye(3)[:, :2].to_sparse()), "0.weight is sparse"),
    "quantised": (faulty("0.weight", QUANTISED), "0.weight is quantised"),
    "meta": (faulty("0.weight", torch.ones(3, 2, device="meta")), "0.weight is without values"),
    "text": (faulty("0.weight", "x"), "0.weight is of type str, and should be a tensor"),
    "half a count": (
        faulty("1.num_batches_tracked", torch.tensor(1.5)),
        "1.num_batches_tracked should be a whole number",
    ),
    "no count": (faulty("1.num_batches_tracked", torch.tensor(torch.nan)), "1.num_batches_tracked is not finite"),
}


@pytest.mark.parametrize(("given", "said"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("prefix", ["", "module._orig_mod."])
def test_weights_that_no_network_has_are_refused_and_change_nothing(
    given: dict[str, object], said: str, prefix: str
) -> None:
    network = model()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError) as refused:
        load_weights(network, {prefix + name: value for name, value in given.items()}, "FILE")
    assert str(refused.value).startswith(f"FILE: {said}")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2], ids=str
)
def test_weights_of_any_floating_point_type_are_converted_and_so_is_a_count(dtype: torch.dtype) -> None:
    network, given = model(), {name: tensor.to(dtype) for name, tensor in weights().items()}
    load_weights(network, given, "FILE")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, given[name].to(tensor.dtype)), name


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net._orig_mod."]
)
def test_names_with_the_prefixes_of_training_tools_are_loaded(cases: Mapping[str, Case], prefix: str) -> None:
    case = cases[CIFAR4]
    for state in (case.state, ours(case)):
        model = network(case)
        load_state(model, {prefix + name: tensor for name, tensor in state.items()}, "FILE")
        holds(model, ours(case))


def test_names_of_submodules_that_were_compiled_are_loaded(cases: Mapping[str, Case]) -> None:
    case = cases[CIFAR4]
    state = {name.replace("stages.0.1.", "stages.0.1._orig_mod."): tensor for name, tensor in ours(case).items()}
    assert state.keys() != ours(case).keys()
    model = network(case)
    load_state(model, state, "FILE")
    holds(model, ours(case))


# The authors' weights


def fails(model: SpikingResNet, state: Mapping[str, Tensor]) -> str:
    """The one line that the state is refused with; the network stays as it was."""
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    given = dict(state)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the words are for the caller to check
        load_reference(model, state, "FILE")
    holds(model, before)
    assert dict(state).keys() == given.keys(), "what was given is not changed either"
    said = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert said.startswith("FILE: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("there", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("here", [torch.float32, torch.float64])
def test_tensors_take_the_type_of_the_network(cases: Mapping[str, Case], here: torch.dtype, there: torch.dtype) -> None:
    case = cases[CIFAR4]
    model = network(case).to(here)
    load_reference(model, {name: t.to(there) if t.is_floating_point() else t for name, t in case.state.items()})
    assert {tensor.dtype for tensor in model.state_dict().values()} == {here, torch.int64}
    holds(model, {key: t.to(there).to(here) if t.is_floating_point() else t for key, t in ours(case).items()})


def test_what_is_loaded_is_a_copy(cases: Mapping[str, Case]) -> None:
    state = {name: tensor.clone() for name, tensor in cases[CIFAR4].state.items()}
    model = network(cases[CIFAR4])
    load_reference(model, state)
    for tensor in state.values():
        tensor.zero_()
    holds(model, ours(cases[CIFAR4]))


@pytest.mark.parametrize("tag", CASES)
def test_names_of_one_tensor_that_disagree_are_refused(cases: Mapping[str, Case], tag: str) -> None:
    case, model = cases[tag], network(cases[tag])
    doubled = [group for group in groups(case) if len(group) > 1]
    assert doubled
    for first, *others in (doubled[0], doubled[-1]):
        state = {**case.state, others[-1]: case.state[others[-1]] + 1}
        said = fails(model, state)
        assert "are one tensor, but differ in this file" in said
        assert first in said
        assert others[-1] in said


def test_names_of_one_tensor_that_differ_in_shape_are_refused(cases: Mapping[str, Case]) -> None:
    case = cases[CIFAR4]
    state = {**case.state, "fc1_s.layer.module.weight": torch.zeros(3, 512)}
    assert "fc1.weight and fc1_s.layer.module.weight are one tensor, but differ" in fails(network(case), state)


@pytest.mark.parametrize("tag", CASES)
def test_missing_tensors_are_counted_and_named(cases: Mapping[str, Case], tag: str) -> None:
    case, model = cases[tag], network(cases[tag])
    everything = groups(case)
    for lost in ([everything[0]], everything[3:5], everything[-5:], everything):
        gone = {name for group in lost for name in group}
        said = fails(model, {name: tensor for name, tensor in case.state.items() if name not in gone})
        assert f"{len(lost)} tensors are missing: " in said
        named = said.partition("missing: ")[2].removesuffix(", ...").split(", ")
        assert len(named) == min(3, len(lost))
        assert set(named) <= gone
        assert said.endswith(", ...") == (len(lost) > 3)
        assert "left over" not in said


@pytest.mark.parametrize("tag", CASES)
def test_tensors_left_over_are_counted_and_named(cases: Mapping[str, Case], tag: str) -> None:
    case = cases[tag]
    said = fails(network(case), {**case.state, "layer9.0.conv1.weight": torch.zeros(1), "module.odd": torch.zeros(1)})
    assert "2 are left over: layer9.0.conv1.weight, odd" in said
    assert "missing" not in said


@pytest.mark.parametrize("tag", CASES)
def test_a_tensor_of_another_shape_is_named(cases: Mapping[str, Case], tag: str) -> None:
    case, model = cases[tag], network(cases[tag])
    for key in ("encoder.stem.0.weight", "stages.1.0.bn2.running_var", "head.linear.bias"):
        names = reference_names(model)[key]
        own = list(model.state_dict()[key].shape)
        said = fails(model, {**case.state, **{name: torch.zeros(*own, 2) for name in names if name in case.state}})
        assert f"1 differ in shape: {key} is {[*own, 2]} there and {own} here" in said


@pytest.mark.parametrize(
    ("tag", "names"),
    [
        (CIFAR4, ["encoding.TA.sharedMLP.2.weight"]),
        (CIFAR4, ["encoding.SCA.sharedMLP.0.weight"]),
        (IMAGENET, ["encoding.SCA.sharedMLP.2.weight"]),
    ],
)
def test_a_gate_of_another_shape_is_refused(cases: Mapping[str, Case], tag: str, names: list[str]) -> None:
    case = cases[tag]
    assert set(names) <= set(case.state)
    said = fails(network(case), {**case.state, **{name: case.state[name][:, :1] for name in names}})
    assert "1 differ in shape: encoder." in said


@pytest.mark.parametrize("T", [1, 2, 5, 6, 8])
@pytest.mark.parametrize("tag", [CIFAR4, IMAGENET])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_another_number_of_steps_says_what_can_be_done(
    cases: Mapping[str, Case], tag: str, T: int, prefix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in cases[tag].state.items()}
    said = fails(network(cases[tag], T=T), state)
    assert said == (
        f"FILE: T is 4 there and {T} here, and the gate's temporal attention is tied to T; take T=4, or train a "
        f"network with T={T}"
    )


def test_weights_without_a_gate_are_not_tied_to_their_number_of_steps(cases: Mapping[str, Case]) -> None:
    model = network(cases[DIRECT], T=7)
    load_reference(model, cases[DIRECT].state)
    holds(model, ours(cases[DIRECT]))
    assert model.eval()(cases[DIRECT].images[:1, :, :8, :8].float()).shape[1] == 7


@pytest.mark.parametrize(
    ("tag", "other", "said"),
    [
        (CIFAR4, {"encoder": "direct"}, "4 are left over: encoding."),
        (DIRECT, {"encoder": "gac"}, "4 tensors are missing: encoding."),
        (DIRECT, {"num_classes": 10}, "2 differ in shape: head.linear.weight is [100, 512] there and [10, 512] here"),
        (CIFAR4, {"width": 0.5}, "differ in shape"),
        (CIFAR4, {"stages": [(128, 2, 1), (256, 3, 2), (512, 2, 2)]}, "are left over: layer1.2."),
        (CIFAR4, {"stages": [(128, 3, 1), (256, 4, 2), (512, 2, 2)]}, "tensors are missing: layer2.3."),
        (CIFAR4, {"layout": "imagenet"}, "tensors are missing"),
        (IMAGENET, {"layout": "cifar"}, "tensors are missing"),
        (IMAGENET, {"name": "resnet34"}, "tensors are missing"),
        (CIFAR4, {"name": "max_resnet18"}, "the authors' programs have no max_resnet18 in the layout cifar; they have"),
        (CIFAR4, {"name": "resnet34"}, "the authors' programs have no resnet34 in the layout cifar"),
        (IMAGENET, {"name": "resnet104"}, "the authors' programs have no resnet104 in the layout imagenet"),
        (CIFAR4, {"encoder_options": {"kernel": 8}}, "2 differ in shape: encoder.spatial_channel.conv1.weight"),
        (CIFAR4, {"encoder_options": {"gate": "image"}}, "1 differ in shape: encoder.spatial_channel.conv1.weight"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_another_architecture_is_refused(
    cases: Mapping[str, Case], tag: str, other: dict[str, object], said: str
) -> None:
    assert said in fails(network(cases[tag], **other), cases[tag].state)


@pytest.mark.parametrize("prefix", ["", "module._orig_mod."])
@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda tensor: tensor * torch.nan, "is not finite"),
        (lambda tensor: tensor.to(torch.complex64), "is complex"),
        (lambda tensor: tensor.int(), "is of type int32"),
        (lambda _tensor: 3, "is of type int, and should be a tensor"),
    ],
    ids=["nan", "complex", "integer", "number"],
)
def test_weights_of_the_authors_that_no_network_has_are_refused(
    cases: Mapping[str, Case], prefix: str, make: Callable[[Tensor], object], fault: str
) -> None:
    case = cases[CIFAR4]
    for key in ("encoder.stem.0.weight", "stages.1.0.bn2.running_var"):
        names = reference_names(network(case))[key]
        state = {prefix + name: make(tensor) if name in names else tensor for name, tensor in case.state.items()}
        assert fails(network(case), state).startswith(f"FILE: {key} {fault}")  # type: ignore[arg-type]


def test_an_empty_state_dict_is_refused(cases: Mapping[str, Case]) -> None:
    assert "tensors are missing" in fails(network(cases[CIFAR4]), {})


def test_a_name_with_and_without_the_prefix_that_disagree_is_refused(cases: Mapping[str, Case]) -> None:
    state = cases[CIFAR4].state
    name = "encoding.TA.sharedMLP.0.weight"
    fails(network(cases[CIFAR4]), {**state, f"module.{name}": state[name] + 1})


def test_coded_networks_take_weights_of_the_direct_one(cases: Mapping[str, Case]) -> None:
    """Nothing but the stem stands between: the authors' programs compare their codings so."""
    model = network(cases[DIRECT], encoder="latency")
    load_reference(model, cases[DIRECT].state)
    holds(model, ours(cases[DIRECT]))
