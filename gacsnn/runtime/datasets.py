"""What can be told of a data set's files without torch: whether they are there, and how many images there are at least."""

import heapq
import itertools
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from gacsnn.config.schema import AnyDataset, Cifar, Config, Digits, Folder, Synthetic
from gacsnn.errors import InputError
from gacsnn.runtime.files import check_name

# Names of image files in a class folder end so.
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

# Images of the training and of the test files, and classes, of data sets that are the same everywhere.
PUBLISHED = {"cifar10": (50_000, 10_000, 10), "cifar100": (50_000, 10_000, 100), "imagenet": (1_281_167, 50_000, 1000)}

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


def is_missing(options: AnyDataset) -> bool:
    """Return whether the images lie nowhere on this machine; files that are damaged or incomplete are an error elsewhere."""
    if isinstance(options, Cifar):
        return not options.download and not (Path(options.root) / CIFAR[options.name][0]).is_dir()
    return isinstance(options, Folder) and not Path(options.root).is_dir()


def counts_of(config: Config) -> tuple[int, int, int]:
    """Return how many images a missing data set has for training and validation, and for the test, and how many classes.

    A data set without published numbers has a test folder of the share `dataset.test`, beside the training folder.

    Raises:
        InputError: if neither the options nor the published data set say so.
    """
    training, test, classes = PUBLISHED.get(config.dataset.name, (None, None, None))
    training, classes = config.plan_images or training, config.plan_classes or classes
    for option, value in (("plan_images", training), ("plan_classes", classes)):
        if value is None:
            raise InputError(
                f"plan=true: dataset.root={getattr(config.dataset, 'root', '')} is not here, and its size is unknown; "
                f"give {option}=NUMBER"
            )
    assert training is not None
    assert classes is not None
    if test is None or config.plan_images is not None:
        test = round(training * getattr(config.dataset, "test", 0.1))
    return training, test, classes


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
    classes = sorted(entry.name for entry in visible(folder) if is_folder(entry))
    empty = [name for name in classes if next(walk(folder / name), None) is None]
    if len(classes) < 2:
        count = len(classes) or "no"
        raise InputError(
            f"{folder} holds {count} class folders, and two are needed; put the images of each class in a folder of its own"
        )
    if empty:
        raise no_image_in(folder, empty)
    return tuple(classes)


def no_image_in(folder: Path, classes: list[str]) -> InputError:
    return InputError(
        f"{folder}: no image in the class folders {', '.join(classes[:5])}; taken for images are {', '.join(SUFFIXES)}"
    )


# Device and inode: equal for all paths to one file or folder.
Identity = tuple[int, int]

# Class folder and path with which a walk entered a folder first.
Entered = dict[Identity, tuple[Path, str]]


def list_images(options: Folder) -> dict[Path, list[list[str]]]:
    """Return the image files of each class, sorted by folder and name, for each folder of `class_folders`.

    Raises:
        InputError: for a class without images, and for what `walk` and `check_links` refuse.
    """
    entered: Entered = {}
    found: dict[Path, list[list[str]]] = {}
    links: list[str] = []
    for folder, classes in class_folders(options).items():
        found[folder] = []
        for name in classes:
            entries = list(walk(folder / name, entered))
            if not entries:
                raise no_image_in(folder, [name])
            found[folder].append(sorted((entry.path for entry in entries), key=lambda path: path.rpartition(os.sep)))
            links += [entry.path for entry in entries if entry.is_symlink()]
    if links:
        everything = itertools.chain.from_iterable(itertools.chain.from_iterable(found.values()))
        check_links(links, everything, missing_targets=options.bad_images == "skip")
    return found


def check_links(links: list[str], files: Iterable[str], missing_targets: bool) -> None:
    """Raise InputError if a link leads to a file that is reached a second time, or, unless allowed, to no file."""
    targets: dict[Identity, str] = {}
    for link in links:
        try:
            target = identity(link)
        except OSError as error:
            if missing_targets:
                continue
            raise broken_link(link, error) from None
        if target in targets:
            raise reached_twice(link, targets[target])
        targets[target] = link
    for path in set(files).difference(links):
        if (link := targets.get(identity(path))) is not None:
            raise reached_twice(link, path)


def reached_twice(path: str, other: str) -> InputError:
    return InputError(
        f"{path} and {other} are the same, so that images would belong to two classes or splits; remove one of the links"
    )


def broken_link(path: str, error: OSError) -> InputError:
    return InputError(f"{path}: the target of this link cannot be read ({error.strerror}); correct or remove the link")


def walk(class_folder: Path, entered: Entered | None = None) -> Iterator[os.DirEntry[str]]:
    """Yield each image file below a class folder once, in no fixed order: first regular files, then links to other files.

    Each real folder is entered once, real folders before links to folders. `entered` holds the folders of earlier walks, and is
    updated.

    Raises:
        InputError: for a folder that belongs to another class folder too, a link to a missing folder, an unreadable folder.
    """
    entered = {} if entered is None else entered
    folders, linked_folders = [str(class_folder)], list[str]()
    files, links = list[str](), list[os.DirEntry[str]]()
    while folders or linked_folders:
        folder = folders.pop() if folders else heapq.heappop(linked_folders)
        if not enter(folder, class_folder, entered):
            continue
        for entry in visible(folder):
            if is_folder(entry):
                heapq.heappush(linked_folders if entry.is_symlink() else folders, entry.path)
            elif is_image(entry.name) and entry.is_symlink():
                links.append(entry)
            elif is_image(entry.name):
                files.append(entry.path)
                yield entry
    targets = {identity(path) for path in files} if links else set()
    for entry in sorted(links, key=lambda link: link.path):
        try:
            target = identity(entry.path)
        except OSError:  # decoding the image names it
            yield entry
            continue
        if target not in targets:
            targets.add(target)
            yield entry


def enter(folder: str, class_folder: Path, entered: Entered) -> bool:
    """Return whether a folder is new, and note it. A link to a folder above the class folder is a loop, and not new."""
    this = identity(folder)
    if Path(folder).is_symlink():
        above = {*class_folder.absolute().parents, *class_folder.resolve().parents}
        if this in map(identity, above):
            return False
    owner, first = entered.setdefault(this, (class_folder, folder))
    if owner != class_folder:
        raise reached_twice(folder, first)
    return first == folder


def visible(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder without leftovers: `.ipynb_checkpoints`, macOS's `._0.jpg` and `__MACOSX`."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name != "__MACOSX":
                    yield entry
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read ({error.strerror})") from None


def identity(path: str | Path) -> Identity:
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one.

    Raises:
        InputError: for a link without a target, which may have been a folder, unless the link is named as an image.
    """
    try:
        if not entry.is_dir() and entry.is_symlink() and not is_image(entry.name):
            entry.stat()
        return entry.is_dir()
    except OSError as error:
        if is_image(entry.name):
            return False
        raise broken_link(entry.path, error) from None


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
        (folder, classes), *others = class_folders(options).items()
        held_out = 0.0 if others else options.test
        enough = 20 * most  # with more held out, there are too few to matter
        images = itertools.chain.from_iterable(walk(folder / name) for name in classes)
        count = sum(1 for _ in itertools.islice(images, enough))
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
