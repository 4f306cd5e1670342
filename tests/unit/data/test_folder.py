"""Class folders of images."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from samples import COMMON, everything

from gacsnn.config.schema import Folder
from gacsnn.data import load_splits
from gacsnn.data.splits import Splits
from gacsnn.errors import InputError


def folder(root: Path, **options: object) -> Splits:
    values = {"train_folder": "train", "test_folder": "val", "test": 0.2, "size": 12, "resize": 14}
    values |= {"check_images": True, "bad_images": "stop", **COMMON, **options}
    return load_splits(Folder(name="image_folder", root=str(root), **values))


def test_folders_give_classes_by_name_and_every_image_once(jpegs: Path) -> None:
    splits = folder(jpegs)
    assert splits.classes == ["ant", "bee", "cat"]
    found = [path for part in (splits.train, splits.validation) if part is not None for path in part.source]
    assert sorted(map(str, found)) == sorted(map(str, (jpegs / "train").rglob("*.jpg")))
    assert sorted(map(str, splits.test.source)) == sorted(map(str, (jpegs / "val").rglob("*.jpg")))
    for part in everything(splits):
        assert part is not None
        for i, label in enumerate(part.labels):
            image = part[i, 0][0]
            assert image.shape == (3, 12, 12)
            assert Path(str(part.source[i])).parent.name == splits.classes[label]
            assert image.double().mean((1, 2)).argmax() == label  # the colour that marks its class


def test_without_a_test_folder_a_share_of_the_images_is_held_out(jpegs: Path) -> None:
    for splits in (folder(jpegs / "train"), folder(jpegs, test_folder="")):
        parts = [set(map(str, part.source)) for part in everything(splits) if part is not None]
        assert [len(part) for part in parts] == [36, 12, 12]
        assert len(set.union(*parts)) == 60
        assert Counter(splits.test.labels.tolist()) == {0: 4, 1: 4, 2: 4}


def test_a_broken_image_stops_or_is_skipped_as_asked(jpegs: Path) -> None:
    broken = jpegs / "train" / "bee" / "07.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=r"07\.jpg cannot be decoded"):
        folder(jpegs)
    splits = folder(jpegs, bad_images="skip")
    kept = [str(path) for part in everything(splits) if part is not None for path in part.source]
    assert len(kept) == 60 + 15 - 1
    assert str(broken) not in kept


def test_folders_that_do_not_fit_are_refused(jpegs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        folder(tmp_path / "absent")
    for option in ("train_folder", "test_folder"):  # what somebody named is not to be missing without a word
        with pytest.raises(InputError, match=f"dataset.{option}=absent: no such folder below"):
            folder(jpegs, **{option: "absent"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no class folders"):
        folder(tmp_path / "empty")
    (jpegs / "val" / "cat").rename(jpegs / "val" / "dog")
    with pytest.raises(InputError, match="only one of them has cat, dog"):
        folder(jpegs)


def test_grey_and_transparent_images_become_three_channels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index, mode in enumerate(("L", "RGBA", "P", "RGB", "1", "L")):
            Image.new(mode, (15, 17)).save(tmp_path / name / f"{index}.png")
    splits = folder(tmp_path, validation=0.0)
    assert all(part[i, 0][0].shape == (3, 12, 12) for part in (splits.train, splits.test) for i in range(len(part)))
