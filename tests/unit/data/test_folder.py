"""Class folders of images."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import COMMON, augmented, everything

from gacsnn.config.schema import Folder
from gacsnn.data import load_splits
from gacsnn.data.folder import sample_of
from gacsnn.data.splits import Splits
from gacsnn.errors import InputError
from gacsnn.runtime.console import log


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


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged, line by line."""
    said: list[str] = []
    for level in ("info", "warning"):
        monkeypatch.setattr(log, level, said.append)
    return said


def classes(root: Path, counts: dict[str, int], size: tuple[int, int] = (40, 30), suffix: str = "png") -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", size, (index, 9, 200)).save(root / name / f"{index:03d}.{suffix}")
    return root


def test_the_log_says_how_images_are_resized_and_where_splits_come_from(jpegs: Path, lines: list[str]) -> None:
    folder(jpegs, resize=14, validation=0.1)
    assert lines == [
        "images: 20x16 to 20x18 (3 sizes) -> 12x12 pixels (shorter side resized to 14, centre crop)",
        "splits: val/ is the test split; 10 % of train/ is held out for validation",
    ]
    lines.clear()
    folder(jpegs / "train", validation=0.0, check_images=False, augment=augmented(resized_crop=True))
    assert lines == [
        "images: 20x16 (a sample) -> 12x12 pixels (shorter side resized to 14, centre crop; training images: a "
        "random crop resized, RandomResizedCrop)",
        "splits: 20 % of train/ are the test split; nothing of the rest is held out for validation",
    ]


def test_the_log_gives_the_size_of_turned_images_as_they_are_shown(tmp_path: Path, lines: list[str]) -> None:
    classes(tmp_path, {"ant": 20, "bee": 20}, (40, 30))
    exif = Image.Exif()
    exif[274] = 6
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as image:
            image.save(path, exif=exif)
    folder(tmp_path)
    assert lines[0].startswith("images: 30x40 -> 12x12 pixels")


def test_classes_with_few_images_are_named_in_a_warning(tmp_path: Path, lines: list[str]) -> None:
    classes(tmp_path / "train", {"ant": 30, "bee": 4, "cat": 11})
    classes(tmp_path / "val", {"ant": 5, "bee": 5, "cat": 5})
    folder(tmp_path, validation=0.08)
    assert lines[2:] == [
        "1 of 3 classes have fewer than 10 training images: bee (4)",
        "1 of 3 classes have no validation images: bee (0)",
    ]


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_class_too_small_to_be_split_is_named_with_its_count(tmp_path: Path, part: str) -> None:
    classes(tmp_path / "train", {"ant": 30, "bee": 1, "cat": 11})
    classes(tmp_path / "val", {"ant": 5, "bee": 5, "cat": 5})
    options = {"test_folder": ""} if part == "test" else {"validation": 0.2}
    with pytest.raises(
        InputError, match=rf"dataset\.{part}=0\.2: a class needs at least 2 images .* fewer: bee \(1\);"
    ):
        folder(tmp_path, **options)


def test_an_image_that_cannot_be_kept_is_refused_before_the_training_without_a_check_of_all(tmp_path: Path) -> None:
    classes(tmp_path / "train", {"ant": 12, "bee": 12})
    classes(tmp_path / "val", {"ant": 5, "bee": 5})
    for name in ("train/bee/7.tif", "val/ant/7.TIF"):  # the first of its suffix
        Image.fromarray(np.ones((30, 40), np.int32)).save(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name} cannot be decoded as an image \(mode I"):
            folder(tmp_path, check_images=False)
        (tmp_path / name).unlink()
    (tmp_path / "train/ant/000.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"train/ant/000\.png cannot be decoded"):
        folder(tmp_path, check_images=False)


def test_deep_images_that_use_few_of_their_levels_are_refused_and_eight_bits_are_not(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "deep" / name).mkdir(parents=True)
        (tmp_path / "flat" / name).mkdir(parents=True)
        for index in range(12):
            pixels = np.linspace(0, 4095, 300).reshape(15, 20)
            Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "deep" / name / f"{index}.png")
            Image.fromarray((pixels / 300).astype(np.uint8)).save(tmp_path / "flat" / name / f"{index}.png")
    with pytest.raises(
        InputError, match=r"0\.png: mode I;16: this is the brightest of 24 images and reaches 15 of 255, .* factor"
    ):
        folder(tmp_path / "deep")
    folder(tmp_path / "flat")
    for path in (tmp_path / "deep").rglob("*.png"):  # as told
        with Image.open(path) as image:
            Image.fromarray(np.asarray(image) * 16).save(path)
    folder(tmp_path / "deep")


def test_a_class_whose_images_are_all_bad_is_named(jpegs: Path) -> None:
    for path in (jpegs / "train/bee").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match="no image of the class bee can be decoded"):
        folder(jpegs, bad_images="skip")


def test_a_sample_holds_each_suffix_and_is_spread_over_the_classes() -> None:
    files = [[f"{label}/{index}.jpg" for index in range(3)] for label in range(1000)]
    files[777] += ["777/a.tif", "777/b.tif"]
    sample = sample_of(files)
    assert sample == [*(f"{label}/0.jpg" for label in range(0, 1000, 5)), "777/a.tif"]
    assert sample_of(files[:3]) == ["0/0.jpg", "1/0.jpg", "2/0.jpg"]
