"""CIFAR-10 and CIFAR-100, read from files as their authors lay them out."""

from pathlib import Path

import numpy as np
import pytest
from samples import COMMON, everything, rows, write_pickle
from torchvision.datasets import CIFAR10

from gacsnn.config.schema import Cifar
from gacsnn.data import load_splits
from gacsnn.errors import InputError


def write_cifar(root: Path, patch: pytest.MonkeyPatch) -> np.ndarray:
    """Sixty images of CIFAR-10, laid out as its authors do: rows of R, then G, then B."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    data = np.random.default_rng(0).integers(0, 256, (60, 3072), dtype=np.uint8)

    labels = [index % 10 for index in range(60)]
    train = write_pickle(folder / "data_batch_1", {"data": data[:40], "labels": labels[:40]})
    test = write_pickle(folder / "test_batch", {"data": data[40:], "labels": labels[40:]})
    names = write_pickle(folder / "batches.meta", {"label_names": list("abcdefghij")})
    patch.setattr(CIFAR10, "train_list", [["data_batch_1", train]])
    patch.setattr(CIFAR10, "test_list", [["test_batch", test]])
    patch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": names})
    return data


def test_cifar_images_keep_their_colours_rows_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_cifar(tmp_path, monkeypatch)
    splits = load_splits(Cifar(name="cifar10", root=str(tmp_path), download=False, **COMMON))
    assert splits.classes == list("abcdefghij")
    assert [len(part) for part in everything(splits) if part is not None] == [30, 10, 20]
    expected = [row.tobytes() + bytes([index % 10]) for index, row in enumerate(data)]
    assert rows(splits.for_evaluation("test")) == sorted(expected[40:])
    assert rows(*everything(splits)[:2]) == sorted(expected[:40])
    assert splits.test[0, 0][0].shape == (3, 32, 32)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_cifar_files_are_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} are missing or damaged; dataset.download=true"):
        load_splits(Cifar(name=name, root=str(tmp_path), download=False, **COMMON))
