"""The authors' checkpoints load whole under whatever names they have, or not at all with one line that says why."""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Launch
from fidelity import Case
from test_conf import config
from test_mistakes import refused
from torch import Tensor
from torchvision.datasets import CIFAR100

import gacsnn
from gacsnn import create_model, load_reference
from gacsnn.errors import InputError
from gacsnn.models import SpikingResNet
from gacsnn.training.checkpoint import read_any
from gacsnn.weights import reference_names

State = dict[str, Tensor]

CIFAR4 = "cifar-r18-gac-T4-C10"
CIFAR6 = "cifar-r18-gac-T6-C100"
DIRECT = "cifar-r18-direct-T4-C100"
IMAGENET = "imagenet-r18-gac-T4-C1000"
CASES = [CIFAR4, DIRECT, IMAGENET]


@pytest.fixture(scope="module")
def cases() -> Mapping[str, Case]:
    """The golden cases, made once."""
    return {tag: Case(tag) for tag in (CIFAR4, CIFAR6, DIRECT, IMAGENET)}


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


def holds(model: SpikingResNet, expected: Mapping[str, Tensor]) -> None:
    state = model.state_dict()
    assert set(state) == set(expected)
    for key, tensor in state.items():
        assert torch.equal(tensor, expected[key].to(tensor.dtype)), key


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


def groups(case: Case) -> list[list[str]]:
    """The authors' names that stand for one tensor."""
    names = reference_names(network(case)).values()
    return [[name for name in group if name in case.state] for group in names]


def choose(case: Case, pick: Callable[[list[str]], str]) -> State:
    """One name of each tensor."""
    return {pick(group): case.state[pick(group)] for group in groups(case)}


# Names


@pytest.mark.parametrize("tag", CASES)
def test_all_of_the_authors_names_are_known_and_each_is_of_one_tensor(cases: Mapping[str, Case], tag: str) -> None:
    flat = [name for group in groups(cases[tag]) for name in group]
    assert len(flat) == len(set(flat))
    assert set(flat) == set(cases[tag].state)
    for group in groups(cases[tag]):
        assert group
        assert all(torch.equal(cases[tag].state[name], cases[tag].state[group[0]]) for name in group)


@pytest.mark.parametrize("tag", CASES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_loads_with_and_without_the_prefix_of_parallel_training(
    cases: Mapping[str, Case], tag: str, prefix: str
) -> None:
    model = network(cases[tag])
    load_reference(model, {prefix + name: tensor for name, tensor in cases[tag].state.items()})
    holds(model, ours(cases[tag]))
    assert gacsnn.load_reference is load_reference


@pytest.mark.parametrize("tag", CASES)
@pytest.mark.parametrize(
    "pick", [min, max, lambda group: group[0], lambda group: group[-1]], ids=["min", "max", "0", "-1"]
)
def test_any_one_name_of_a_tensor_will_do(
    cases: Mapping[str, Case], tag: str, pick: Callable[[list[str]], str]
) -> None:
    model = network(cases[tag])
    state = choose(cases[tag], pick)
    assert len(state) == len(model.state_dict())
    load_reference(model, state)
    holds(model, ours(cases[tag]))


def test_each_name_of_each_tensor_alone_will_do(cases: Mapping[str, Case]) -> None:
    """Not only the four picks above: the n-th name of all tensors, for every n."""
    case = cases[CIFAR4]
    model, expected = network(case), ours(case)
    for index in range(max(len(group) for group in groups(case))):
        load_reference(model, choose(case, lambda group, index=index: group[index % len(group)]))
        holds(model, expected)


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


# What is refused


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


# From the command line

EVALUATE = ("task=evaluate", "experiment=cifar100_gac_r18_t6", "hardware=cpu", "hardware.threads=1", "output_dir=run")
WORDS = [f"word{index:02d}" for index in range(100)]


def single(case: Case) -> State:
    """The case's tensors as an author's file holds them, in float32."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in case.state.items()}


@pytest.fixture(scope="module")
def answers(cases: Mapping[str, Case]) -> tuple[np.ndarray, Tensor]:
    """Three images, and what the authors' weights say of them: mean logits over T."""
    data = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    dataset = config("dataset=cifar100").dataset
    mean, std = (torch.tensor(x, dtype=torch.float64).view(3, 1, 1) for x in (dataset.mean, dataset.std))
    images = (torch.from_numpy(data).view(3, 3, 32, 32) / 255 - mean) / std
    model = network(cases[CIFAR6]).eval()
    load_reference(model, single(cases[CIFAR6]))
    with torch.no_grad():
        return data, model(images.float()).mean(dim=1)


@pytest.fixture
def cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[np.ndarray, Tensor]) -> list[int]:
    """CIFAR-100's files, those images as its test split, two of them labelled as the authors' network sees them."""
    data, logits = answers
    labels = [int(label) for label in logits.argmax(dim=1)]
    labels[2] = int(logits[2].argmin())
    folder = tmp_path / "data" / "cifar100" / "cifar-100-python"
    folder.mkdir(parents=True)

    def write(name: str, content: dict[str, object]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    many = [index % 100 for index in range(1000)]
    noise = np.random.default_rng(1).integers(0, 256, (1000, 3072), dtype=np.uint8)
    train = write("train", {"data": noise, "fine_labels": many, "coarse_labels": many})
    test = write("test", {"data": data, "fine_labels": labels, "coarse_labels": labels})
    names = write("meta", {"fine_label_names": WORDS})
    monkeypatch.setattr(CIFAR100, "train_list", [["train", train]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", test]])
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": names})
    monkeypatch.delenv("GACSNN_DATA", raising=False)
    return labels


@pytest.mark.parametrize("wrapped", ["", "state_dict", pytest.param("net", marks=pytest.mark.slow)])
def test_a_published_checkpoint_is_measured_from_the_command_line(
    launch: Launch,
    tmp_path: Path,
    cases: Mapping[str, Case],
    cifar100: list[int],
    answers: tuple[np.ndarray, Tensor],
    wrapped: str,
) -> None:
    state = single(cases[CIFAR6])
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    content = {"": state, "state_dict": {"state_dict": parallel, "epoch": 250, "acc": 80.45}, "net": {"net": state}}
    torch.save(content[wrapped], tmp_path / "FILE.pth")
    code, out, err = launch(*EVALUATE, "checkpoint=FILE.pth")
    assert (code, err) == (0, "")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    logits = answers[1]
    labels = torch.tensor(cifar100)
    assert result["top1"] == pytest.approx(100 * 2 / 3)
    assert result["loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=3e-3), (
        "but for neurons so near their threshold that rounding tells"
    )
    assert (result["images"], result["split"], result["T"], result["params"]) == (3, "test", 6, 12_679_368)
    assert result["selected_by"] == "the user: FILE.pth, the authors' weights"
    assert result["epochs"] is None
    assert result["energy_full_mj"] > result["energy_mj"] > 0
    assert "66.67 % on the test split of cifar100" in out


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory, cases: Mapping[str, Case]) -> Path:
    """A file as the authors would publish it, T=6, for 100 classes."""
    path = tmp_path_factory.mktemp("published") / "FILE.pth"
    torch.save(single(cases[CIFAR6]), path)
    return path


def stand_in(T: int, *more: str) -> tuple[str, ...]:
    """A small data set of a hundred classes in place of CIFAR-100."""
    images = ("dataset=synthetic", "dataset.num_classes=100", "dataset.size=8", "dataset.validation=0.0")
    row = ("task=evaluate", f"experiment=cifar100_gac_r18_t{T}", *images, "limit_eval=4")
    return (*row, "hardware=cpu", "hardware.threads=1", "output_dir=run", "checkpoint=FILE.pth", *more)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("code-was-run"),)  # type: ignore[return-value]


def test_a_file_that_wants_to_run_code_is_refused_and_runs_none(launch: Launch, tmp_path: Path) -> None:
    state = {"conv1.weight": torch.zeros(64, 3, 3, 3)}
    for content in (Evil(), {**state, "fc1.bias": Evil()}, {"state_dict": state, "optimizer": Evil()}):
        torch.save(content, tmp_path / "FILE.pth")
        said = refused(launch, tmp_path, *stand_in(6))
        assert said.startswith(
            "checkpoint=FILE.pth: this file is no checkpoint, one that was cut short, or one that wants"
        )
        (tmp_path / "FILE.pth").write_bytes(pickle.dumps(content))
        refused(launch, tmp_path, *stand_in(6))
    assert not (tmp_path / "code-was-run").exists()
    pickle.loads((tmp_path / "FILE.pth").read_bytes())
    assert (tmp_path / "code-was-run").exists(), "it would have run some"


@pytest.mark.parametrize("task", ["task=evaluate", pytest.param("task=energy", marks=pytest.mark.slow)])
def test_a_file_of_another_number_of_steps_is_refused_with_what_to_do(
    launch: Launch, tmp_path: Path, cases: Mapping[str, Case], task: str
) -> None:
    torch.save(single(cases[CIFAR4]), tmp_path / "FILE.pth")
    said = refused(launch, tmp_path, *stand_in(6, task, "dataset.num_classes=10"))
    assert said == (
        "checkpoint=FILE.pth: T is 4 there and 6 here, and the gate's temporal attention is tied to T; take T=4, or "
        "train a network with T=6"
    )
    # And what it says to do is right.
    assert launch(*stand_in(6, task, "dataset.num_classes=10", "T=4")).code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("fewer", "of another architecture: 1 tensors are missing: conv1.weight"),
        ("more", "of another architecture: 1 are left over: odd"),
        ("shape", "differ in shape: head.linear.bias is [101] there and [100] here"),
        ("disagree", "conv1.weight and conv1_s.layer.module.weight are one tensor, but differ in this file"),
    ],
)
def test_a_damaged_file_is_one_line_and_leaves_nothing(
    launch: Launch, tmp_path: Path, cases: Mapping[str, Case], change: str, said: str
) -> None:
    state = single(cases[CIFAR6])
    if change == "fewer":
        state = {name: t for name, t in state.items() if name not in ("conv1.weight", "conv1_s.layer.module.weight")}
    elif change == "more":
        state["odd"] = torch.zeros(2)
    elif change == "shape":
        state |= {name: torch.zeros(101) for name in ("fc1.bias", "fc1_s.layer.module.bias")}
    elif change == "disagree":
        state["conv1.weight"] = state["conv1.weight"] + 1
    torch.save(state, tmp_path / "FILE.pth")
    answer = refused(launch, tmp_path, *stand_in(6))
    assert answer.startswith("checkpoint=FILE.pth: ")
    assert said in answer


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("encoder=direct", "of another architecture: 4 are left over: encoding."),
        ("dataset.num_classes=50", "head.linear.weight is [100, 512] there and [50, 512] here"),
        ("model.width=0.5", "differ in shape"),
        ("model=resnet34", "the authors' programs have no resnet34 in the layout cifar"),
    ],
)
def test_a_file_of_another_network_is_one_line_and_leaves_nothing(
    launch: Launch, tmp_path: Path, whole_file: Path, argument: str, said: str
) -> None:
    answer = refused(launch, tmp_path, *stand_in(6, argument, f"checkpoint={whole_file}"))
    assert answer.startswith(f"checkpoint={whole_file}: ")
    assert said in answer


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "this file holds no weights of a network"),
        ({"state_dict": {}}, "this file holds no weights of a network"),
        ({"state_dict": {"epoch": 3}}, "this file holds no weights of a network"),
        ([1, 2], "this file holds no weights of a network"),
        (torch.zeros(3), "this file holds no weights of a network"),
        ({"format": "gacsnn-9"}, "this file is of format gacsnn-9"),
        ({"odd": torch.zeros(3)}, "tensors are missing: conv1.weight"),
    ],
    ids=str,
)
def test_a_file_that_holds_something_else_is_one_line(
    launch: Launch, tmp_path: Path, content: object, said: str
) -> None:
    torch.save(content, tmp_path / "FILE.pth")
    assert said in refused(launch, tmp_path, *stand_in(6))


def test_wrappers_may_be_nested_and_other_entries_are_passed_over(tmp_path: Path, cases: Mapping[str, Case]) -> None:
    state = single(cases[CIFAR4])
    torch.save({"state_dict": {"model": {**state, "note": "text"}}, "epoch": 3}, tmp_path / "FILE.pth")
    read = read_any(tmp_path / "FILE.pth")
    assert read.keys() == state.keys()
    model = network(cases[CIFAR4])
    load_reference(model, read)
    holds(
        model,
        {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in ours(cases[CIFAR4]).items()},
    )


def test_training_can_start_from_the_authors_weights(launch: Launch, tmp_path: Path, cases: Mapping[str, Case]) -> None:
    torch.save(single(cases[CIFAR4]), tmp_path / "FILE.pth")
    still = ("optimizer.lr=1e-30", "optimizer.weight_decay=0.0", "limit_train=4", "batch_size=2", "epochs=1")
    assert launch(*stand_in(4, "task=train", "dataset.num_classes=10", *still)).code == 0
    trained = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")["model"]
    for key, tensor in ours(cases[CIFAR4]).items():
        if key.endswith(("weight", "bias")):
            assert torch.equal(trained[key], tensor.float()), key
