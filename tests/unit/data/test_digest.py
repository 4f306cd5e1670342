"""The digest by which a run recognises its images."""

import shutil
from pathlib import Path

import pytest
import torch
from program import config

from gacsnn.data import load_splits
from gacsnn.data.digest import Digests, changes, digests_of


def of_folder(root: Path) -> Digests:
    options = config("dataset=image_folder", f"dataset.root={root}", "dataset.validation=0.2").dataset
    return digests_of(load_splits(options), str(root))


def test_digest_of_moved_folder_is_same(jpegs: Path, tmp_path: Path) -> None:
    before = of_folder(jpegs)
    moved = shutil.move(jpegs, tmp_path / "elsewhere")
    assert changes(before, of_folder(moved)) == ""
    assert {name: split["images"] for name, split in before.items()} == {"training": 48, "validation": 12, "test": 15}


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("change", ["renamed", "added", "removed", "moved to another class", "resized"])
def test_digest_after_image_is_changed_differs(jpegs: Path, part: str, change: str) -> None:
    before = of_folder(jpegs)
    ants = jpegs / part / "ant"
    for image in sorted(ants.iterdir()):
        new = {
            "renamed": ants / f"{image.stem}x{image.suffix}",
            "moved to another class": jpegs / part / "bee" / f"x{image.name}",
        }
        if change in new:
            image.rename(new[change])
        elif change == "added":
            shutil.copy(image, ants / "x.jpg")
        elif change == "removed":
            image.unlink()
        else:
            image.write_bytes(image.read_bytes() + b"x")
        break
    said = changes(before, of_folder(jpegs))
    assert ("test images" in said) == (part == "val")
    assert said


def test_digest_of_images_in_memory_follows_pixels_and_labels() -> None:
    splits = load_splits(config().dataset)
    before = digests_of(splits, None)
    assert changes(before, digests_of(load_splits(config().dataset), None)) == ""
    assert isinstance(splits.test.source, torch.Tensor)
    splits.test.source[0, 0, 0, 0] += 1
    assert changes(before, digests_of(splits, None)) == ("there are 360 test images as before, but not the same ones")
    splits.train.labels[0] += 1
    assert "training images" in changes(before, digests_of(splits, None))
