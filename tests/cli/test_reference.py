"""The authors' files from the command line: measured, trained on, or refused with one line that leaves nothing."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fidelity import Case
from program import Launch, config, read_result, refused
from published import CIFAR4, CIFAR6, network, ours, single
from samples import write_pickle
from torch import Tensor
from torchvision.datasets import CIFAR100

from gacsnn import load_reference

EVALUATE = ("task=evaluate", "experiment=cifar100_gac_r18_t6", "hardware=cpu", "hardware.threads=1", "output_dir=run")
WORDS = [f"word{index:02d}" for index in range(100)]


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

    many = [index % 100 for index in range(1000)]
    noise = np.random.default_rng(1).integers(0, 256, (1000, 3072), dtype=np.uint8)
    train = write_pickle(folder / "train", {"data": noise, "fine_labels": many, "coarse_labels": many})
    test = write_pickle(folder / "test", {"data": data, "fine_labels": labels, "coarse_labels": labels})
    names = write_pickle(folder / "meta", {"fine_label_names": WORDS})
    monkeypatch.setattr(CIFAR100, "train_list", [["train", train]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", test]])
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": names})
    monkeypatch.delenv("GACSNN_DATA", raising=False)
    return labels


@pytest.mark.parametrize("wrapped", ["", *(pytest.param(key, marks=pytest.mark.slow) for key in ("state_dict", "net"))])
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
    result = read_result(tmp_path / "run")
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
        # These two are told apart in tests/unit/test_weights.py, too.
        pytest.param("fewer", "of another architecture: 1 tensors are missing: conv1.weight", marks=pytest.mark.slow),
        pytest.param("more", "of another architecture: 1 are left over: odd", marks=pytest.mark.slow),
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
        pytest.param("model.width=0.5", "differ in shape", marks=pytest.mark.slow),
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


def test_training_can_start_from_the_authors_weights(launch: Launch, tmp_path: Path, cases: Mapping[str, Case]) -> None:
    torch.save(single(cases[CIFAR4]), tmp_path / "FILE.pth")
    still = ("optimizer.lr=1e-30", "optimizer.weight_decay=0.0", "limit_train=4", "batch_size=2", "epochs=1")
    assert launch(*stand_in(4, "task=train", "dataset.num_classes=10", *still)).code == 0
    trained = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")["model"]
    for key, tensor in ours(cases[CIFAR4]).items():
        if key.endswith(("weight", "bias")):
            assert torch.equal(trained[key], tensor.float()), key
