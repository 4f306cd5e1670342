"""Files that are whole or not there, and checkpoints that are ours or refused."""

import io
import os
import pickle
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gacsnn.errors import InputError
from gacsnn.runtime.files import write_text, write_whole
from gacsnn.training import checkpoint
from gacsnn.weights import load_weights


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old, and longer than the new one")
    write_text(path, "nü\n")
    assert path.read_bytes() == b"n\xc3\xbc\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("there_before", [True, False])
def test_a_writer_that_raises_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException], there_before: bool
) -> None:
    path = tmp_path / "best.pt"
    if there_before:
        path.write_bytes(b"old")

    def writer(file: IO[bytes]) -> None:
        file.write(b"half")
        file.flush()
        raise error("disk full")

    with pytest.raises(error):
        write_whole(path, writer)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("best.pt", b"old")] * there_before


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"old")
    seen: list[bytes] = []

    def writer(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        seen.append(path.read_bytes())

    write_whole(path, writer)
    assert (seen, path.read_bytes()) == ([b"old"], b"new")


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    content = {
        "model": nn.Linear(2, 3).state_dict(),
        "train_state": {"epoch": 3, "best_top1": 0.1, "best_loss": None},
        "rng": checkpoint.random_state(),
        "classes": ["ä", "b"],
        "config": {"T": 4},
    }
    checkpoint.save(path, content)
    back = checkpoint.read(path)
    assert torch.equal(back["model"]["weight"], content["model"]["weight"])
    assert (back["train_state"], back["classes"]) == (content["train_state"], content["classes"])
    assert torch.equal(back["rng"]["cpu"], content["rng"]["cpu"])


def test_random_numbers_go_on_where_the_state_was_taken() -> None:
    state = checkpoint.random_state()
    first = torch.rand(5)
    torch.manual_seed(1)
    checkpoint.restore_random_state(state)
    assert torch.equal(torch.rand(5), first)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"model": nn.Linear(2, 3).state_dict()})
    return path


def test_a_missing_checkpoint_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(InputError, match=r"no such file|this is a folder"):
            checkpoint.read(path)


def test_a_checkpoint_cut_short_anywhere_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in [0, 1, 2, *range(3, len(whole), 97), len(whole) - 1]:
        saved.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"last\.pt: this file is no checkpoint, one that was cut short"):
            checkpoint.read(saved)


def to_image(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def to_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weight=np.zeros(3))


def to_yaml(path: Path) -> None:
    path.write_text("dataset: cifar10\n")


def to_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"format": 1}, protocol=2))


def to_state_dict(path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), path)


def to_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def to_other_format(path: Path) -> None:
    torch.save({"format": "gacsnn-0", "model": {}}, path)


def to_module(path: Path) -> None:
    torch.save({"format": checkpoint.FORMAT, "model": nn.Linear(2, 3)}, path)


@pytest.mark.parametrize(
    "write", [to_image, to_arrays, to_yaml, to_pickle, to_state_dict, to_tensor, to_other_format, to_module]
)
def test_a_file_that_is_no_checkpoint_of_ours_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "weights.pt"
    write(path)
    with pytest.raises(InputError, match=r"weights\.pt: this file") as refused:
        checkpoint.read(path)
    assert "\n" not in str(refused.value)


class Malicious:
    """A pickle of this creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_a_checkpoint_that_wants_to_run_code_is_refused_and_does_not(tmp_path: Path, legacy: bool, bare: bool) -> None:
    path, proof = tmp_path / "evil.pt", tmp_path / "proof"
    content = {"format": checkpoint.FORMAT, "model": Malicious(proof)}
    if bare:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.read(path)
    assert not proof.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_file_at_all_is_read_with_another_error_than_ours(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    generator = random.Random(0)
    junk = [generator.randbytes(generator.randrange(1, 60)) for _ in range(200)]
    old = io.BytesIO()
    torch.save({"model": torch.zeros(3)}, old, _use_new_zipfile_serialization=False)
    cut = [old.getvalue()[:length] for length in range(0, len(old.getvalue()), 5)]
    for content in [b"epoch,loss\n1,2\n", *cut, *junk]:
        path.write_bytes(content)
        with pytest.raises(InputError, match="no checkpoint"):
            checkpoint.read(path)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.rand(tensor.shape) for name, tensor in model().state_dict().items()}


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


def test_ctrl_c_while_a_file_is_written_comes_after_it(tmp_path: Path) -> None:
    def slow(file: IO[bytes]) -> None:
        file.write(b"first half, ")
        signal.raise_signal(signal.SIGINT)
        file.write(b"second half")

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", slow)
    assert (tmp_path / "file").read_bytes() == b"first half, second half"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
