"""What can be told of a data set's files without torch: whether they are there, and how many images there are at least."""

import itertools
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from gacsnn.config.schema import AnyDataset, Cifar, Digits, Folder, Synthetic
from gacsnn.errors import InputError
from gacsnn.runtime.files import check_name

# What is taken for an image in a class folder; torchvision knows the same.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

# Where CIFAR's authors have their files: the folder, those of the training split, the other ones.
CIFAR = {
    "cifar10": (
        "cifar-10-batches-py",
        [f"data_batch_{number}" for number in range(1, 6)],
        ["test_batch", "batches.meta"],
    ),
    "cifar100": ("cifar-100-python", ["train"], ["test", "meta"]),
}

# The folders' names that nobody need have given: where there are none, all images lie in class folders.
MAY_BE_MISSING = ("train", "val")

# Images in all splits of scikit-learn's digits, in CIFAR's training split; their sides, pixels.
DIGITS, DIGITS_SIDE = 1797, 8
CIFAR_TRAINING, CIFAR_SIDE = 50_000, 32


def check_files(options: AnyDataset) -> None:
    """Raises InputError when the files of a data set are not there; whether they are whole is for who reads them."""
    if isinstance(options, Folder | Cifar) and not options.root.strip():
        raise InputError("dataset.root=: should be a folder; left out, it is one below data/, or below GACSNN_DATA")
    if isinstance(options, Folder | Cifar):
        check_name("dataset.root", Path(options.root))
    if isinstance(options, Cifar):
        check_cifar(options)
    if isinstance(options, Folder):
        class_folders(options)


def check_cifar(options: Cifar) -> None:
    name, training, others = CIFAR[options.name]
    folder = Path(options.root) / name
    if not options.download and not all((folder / file).is_file() for file in (*training, *others)):
        raise missing_cifar(options)


def missing_cifar(options: Cifar) -> InputError:
    return InputError(
        f"dataset.root={options.root}: the files of {options.name} are missing or damaged; dataset.download=true fetches them, "
        f"or unpack them as {Path(options.root) / CIFAR[options.name][0]}"
    )


def class_folders(options: Folder) -> dict[Path, list[str]]:
    """The folders that hold a folder a class, with the classes: of training and test images, or that of all.

    Raises:
        InputError: for a missing or empty folder, or classes that differ.
    """
    root = Path(options.root)
    if not root.is_dir():
        raise InputError(
            f"dataset.root={root}: no such folder; give the one that holds {options.train_folder}/ or class folders"
        )
    for option, name in (("train_folder", options.train_folder), ("test_folder", options.test_folder)):
        if name not in ("", *MAY_BE_MISSING) and not (root / name).is_dir():
            raise InputError(f"dataset.{option}={name}: no such folder below dataset.root={root}")
    train, test = root / options.train_folder, root / options.test_folder
    tested = options.test_folder != "" and test.is_dir()
    if tested and not train.is_dir():
        raise InputError(
            f"dataset.root={root}: holds {test.name}/ but no {train.name}/; give dataset.train_folder, or "
            "dataset.test_folder='' where all images lie in class folders"
        )
    folders = [train, test] if tested else [train if train.is_dir() else root]
    found = {folder: classes_in(folder) for folder in folders}
    if differ := sorted(set(found[folders[0]]) ^ set(found[folders[-1]])):
        raise InputError(
            f"dataset.root={root}: {train.name}/ and {test.name}/ must hold the same classes; only one of them has "
            f"{', '.join(differ[:5])}"
        )
    return found


def classes_in(folder: Path) -> list[str]:
    """The names of the class folders, sorted; each holds an image.

    Raises:
        InputError: when they are fewer than two, one is empty, or they cannot be read.
    """
    return list(listed(folder, folder.stat().st_mtime_ns))


@lru_cache(maxsize=16)
def listed(folder: Path, _changed: int) -> tuple[str, ...]:
    """The same, looked at once for all jobs of a grid, until a class comes or goes: on a shared disk it takes seconds."""
    try:
        classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        empty = [name for name in classes if not any(True for _ in images_in(folder / name))]
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read ({error.strerror})") from None
    if len(classes) < 2:
        count = len(classes) or "no"
        raise InputError(
            f"{folder} holds {count} class folders, and two are needed; put the images of each class in a folder of its own"
        )
    if empty:
        raise InputError(
            f"{folder}: no image in the class folders {', '.join(empty[:5])}; taken for images are {', '.join(SUFFIXES)}"
        )
    return tuple(classes)


def images_in(folder: str | Path) -> Iterator[str]:
    """Paths of the image files in a folder, however deep, one by one: who wants one of a million does not list them all."""
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_folder(entry):
                folders.append(entry.path)
            elif entry.name.lower().endswith(SUFFIXES):
                yield entry.path
    for inner in folders:
        yield from images_in(inner)


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself; as an image it is named by who reads it


def training_images(options: AnyDataset, most: int) -> int:
    """At least so many images the training split has, `most` where it has more; those held out are taken off generously."""
    if isinstance(options, Digits):
        count, held_out = DIGITS, options.test
    elif isinstance(options, Cifar):
        count, held_out = CIFAR_TRAINING, 0.0
    elif isinstance(options, Synthetic):
        count, held_out = options.images, 0.2
    elif not isinstance(options, Folder):
        return 1  # of another data set nothing is known here, and one image is the least
    else:
        folder, *others = class_folders(options)
        held_out = 0.0 if others else options.test
        enough = 20 * most  # with more held out, there are too few to matter
        count = sum(1 for _ in itertools.islice(images_in(folder), enough))
    return max(1, min(most, int(0.9 * count * (1 - held_out) * (1 - options.validation))))


def classes_of(options: AnyDataset) -> int:
    """How many classes there are; 2, the fewest, where only the files say."""
    known = {"digits": 10, "cifar10": 10, "cifar100": 100, "imagenet": 1000}
    return options.num_classes if isinstance(options, Synthetic) else known.get(options.name, 2)


def side_of(options: AnyDataset) -> int:
    """Of the square that the network sees, pixels; at least 1, where nothing is known of the data set here."""
    if isinstance(options, Digits):
        return DIGITS_SIDE
    if isinstance(options, Cifar):
        return CIFAR_SIDE
    return options.size if isinstance(options, Folder | Synthetic) else 1
