"""Checkpoints come back as they were saved; a file that is none of ours or the authors' is refused and runs no code."""

import io
import os
import pickle
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fidelity import Case
from published import CIFAR4, holds, network, ours, single
from torch import nn

from gacsnn import load_reference
from gacsnn.errors import InputError
from gacsnn.training import checkpoint
from gacsnn.training.checkpoint import read_any


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
        with pytest.raises(InputError, match=r"last\.pt: this file is (no checkpoint, one that was cut short|damaged)"):
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


def test_weights_under_a_key_that_is_the_only_one_are_found(tmp_path: Path) -> None:
    state = nn.Linear(2, 3).state_dict()
    optimizer = torch.optim.Adam(nn.Linear(2, 3).parameters())
    sum(p.sum() for p in optimizer.param_groups[0]["params"]).backward()
    optimizer.step()
    for content in (
        {"weights": state, "optimizer": optimizer.state_dict(), "epoch": 3},
        {"model_state_dict": state, "optimizer_state_dict": optimizer.state_dict()},
        {"state_dict": state, "state_dict_ema": {name: tensor + 1 for name, tensor in state.items()}},
    ):
        torch.save(content, tmp_path / "FILE.pth")
        read = read_any(tmp_path / "FILE.pth")
        assert {name: tensor.tolist() for name, tensor in read.items()} == {
            name: tensor.tolist() for name, tensor in state.items()
        }
    torch.save({"one": state, "other": state}, tmp_path / "FILE.pth")
    with pytest.raises(InputError, match="holds no weights of a network"):
        read_any(tmp_path / "FILE.pth")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["model"].update(weight=torch.full((3, 2), torch.nan)), "weight is not finite"),
        (lambda content: content["model"].update(running_var=torch.tensor(torch.inf)), "running_var is not finite"),
        (
            lambda content: content["optimizer"]["state"].update({0: {"exp_avg": torch.tensor(torch.nan)}}),
            "optimizer's",
        ),
    ],
    ids=["weight", "statistic", "optimizer"],
)
def test_a_checkpoint_with_numbers_that_are_not_finite_is_damaged(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    model = nn.Linear(2, 3)
    content = {
        "model": model.state_dict(),
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(),
        "train_state": {},
        "classes": ["a"],
        "config": {},
    }
    checkpoint.save(tmp_path / "last.pt", content)
    checkpoint.read(tmp_path / "last.pt")
    change(content)
    checkpoint.save(tmp_path / "last.pt", content)
    with pytest.raises(checkpoint.DamagedError, match=said):
        checkpoint.read(tmp_path / "last.pt")
