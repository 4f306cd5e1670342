"""The walk of class folders: each image once, in a fixed order, in one class and one split."""

from collections.abc import Callable
from pathlib import Path

import pytest
from samples import COMMON
from torchvision.datasets.folder import make_dataset

from gacsnn.config.schema import Folder
from gacsnn.errors import InputError
from gacsnn.runtime.datasets import SUFFIXES, class_folders, list_images, training_images


def options(root: Path, **changed: object) -> Folder:
    values = {"train_folder": "train", "test_folder": "val", "test": 0.2, "size": 12, "resize": 12}
    values |= {"check_images": True, "bad_images": "stop", **COMMON, "validation": 0.0, **changed}
    return Folder(name="image_folder", root=str(root), **values)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of 20 training and 10 test files; no test here decodes one."""
    for split, count in (("train", 20), ("val", 10)):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(count):
                (tmp_path / split / name / f"{index}.png").touch()
    return tmp_path


def counts(root: Path, **changed: object) -> list[list[int]]:
    return [[len(files) for files in classes] for classes in list_images(options(root, **changed)).values()]


def test_plain_folders_give_the_files_and_the_order_of_torchvision(root: Path) -> None:
    for name in ("b/10.PNG", "b-c/9.jpg", "b/a/x.webp", "A.tiff", "notes.txt", "b.d/é.ppm"):
        path = root / "train" / "ant" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for folder, classes in list_images(options(root)).items():
        labels = {name: label for label, name in enumerate(("ant", "bee"))}
        found = [(path, label) for label, paths in enumerate(classes) for path in paths]
        assert found == make_dataset(folder, labels, SUFFIXES)


def hide(root: Path) -> None:
    for name in (".ipynb_checkpoints", "__MACOSX", "deep/.cache"):
        (root / "train/ant" / name).mkdir(parents=True)
        (root / "train/ant" / name / "0.png").touch()
    for name in ("train/bee/._0.png", "train/bee/deep/.1.png", "train/__MACOSX/0.png", "val/.cache/0.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()


def link(path: str, target: str) -> Callable[[Path], None]:
    return lambda root: (root / path).symlink_to(target)


def link_inner_folder(root: Path) -> None:
    (root / "train/bee/z").mkdir()
    (root / "train/bee/0.png").rename(root / "train/bee/z/0.png")
    (root / "train/bee/a").symlink_to("z")


@pytest.mark.parametrize(
    "change",
    [
        hide,
        link("train/ant/again", "."),
        link("train/ant/up", ".."),
        link("train/bee/root", "../.."),
        link("train/ant/0-again.png", "0.png"),
        link_inner_folder,
    ],
    ids=["hidden", "self", "parent", "root", "file", "inner"],
)
def test_hidden_names_and_links_back_add_no_image(root: Path, change: Callable[[Path], None]) -> None:
    before = list_images(options(root))
    change(root)
    after = list_images(options(root))
    assert [[len(files) for files in classes] for classes in after.values()] == [[20, 20], [10, 10]]
    if change is not link_inner_folder:
        assert after == before
    assert not any("bee/a/" in path for path in after[root / "train"][1]), "the real folder has priority over a link"
    assert training_images(options(root), 1000) == int(0.9 * 40)
    assert class_folders(options(root)) == {root / "train": ["ant", "bee"], root / "val": ["ant", "bee"]}


@pytest.mark.parametrize(
    ("path", "target", "other"),
    [
        ("train/ant/more", "../bee", "train/bee"),
        ("train/bee/more", "../ant", "train/ant"),
        ("train/ant/x.png", "../bee/3.png", "train/bee/3.png"),
        ("train/bee/x.png", "../ant/3.png", "train/ant/3.png"),
        ("train/ant/val", "../../val/ant", "val/ant"),
        ("val/bee/x.png", "../../train/bee/3.png", "train/bee/3.png"),
        ("train/cat", "ant", "train/ant"),
    ],
)
def test_a_file_in_two_classes_or_splits_is_refused_by_both_names(
    root: Path, path: str, target: str, other: str
) -> None:
    (root / path).symlink_to(target)
    if path == "train/cat":
        (root / "val/cat").mkdir()
        (root / "val/cat/0.png").touch()
    with pytest.raises(InputError, match="are the same") as caught:
        list_images(options(root))
    assert all(str(root / each) in str(caught.value) for each in (path, other))


def test_two_links_to_one_file_count_once_in_a_class_and_are_refused_in_two(root: Path) -> None:
    (root / "pool").mkdir()
    (root / "pool/p.png").touch()
    for name in ("x", "y"):
        (root / f"train/ant/{name}.png").symlink_to("../../pool/p.png")
    assert counts(root) == [[21, 20], [10, 10]]
    (root / "train/bee/z.png").symlink_to("../../pool/p.png")
    with pytest.raises(InputError, match=r"train/bee/z\.png and \S+train/ant/x\.png are the same"):
        list_images(options(root))


def test_links_to_folders_elsewhere_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "train/bee").rename(root / "bees")
    (root / "train/bee").symlink_to("../bees")
    (root / "more").mkdir()
    (root / "more/m.png").touch()
    (root / "train/ant/more").symlink_to("../../more")
    assert counts(root) == [[21, 20], [10, 10]]
    (root / "link").symlink_to(".")
    assert counts(root / "link") == [[21, 20], [10, 10]]


@pytest.mark.parametrize("path", ["train/ant/x.png", "train/ant/more", "train/cat", "val/bee/x.png"])
@pytest.mark.parametrize("target", ["/nowhere/at/all", "loop"])
def test_a_link_without_a_target_is_refused_by_name(root: Path, path: str, target: str) -> None:
    (root / path).symlink_to(target if target != "loop" else (root / path).name)
    with pytest.raises(InputError, match="the target of this link cannot be read") as caught:
        list_images(options(root))
    assert str(root / path) in str(caught.value)


def test_a_link_without_a_target_is_left_to_the_check_if_bad_images_are_skipped(root: Path) -> None:
    (root / "train/ant/x.png").symlink_to("nowhere")
    assert counts(root, bad_images="skip") == [[21, 20], [10, 10]]


def test_a_class_that_was_emptied_meanwhile_is_named(root: Path) -> None:
    class_folders(options(root))
    for path in (root / "train/bee").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no image in the class folders bee"):
        list_images(options(root))
