"""Images in class folders: ImageNet's, or anyone's, at any size."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from gacsnn.config.schema import Folder
from gacsnn.data.images import Images, decode
from gacsnn.data.splits import Splits, held_out, split_training
from gacsnn.errors import InputError
from gacsnn.runtime.console import Progress, log
from gacsnn.runtime.files import check_root


def load(options: Folder) -> Splits:
    """Raises InputError for a missing or empty folder, classes that differ, an image that cannot be decoded."""
    check_root(options)
    root = Path(options.root)
    train_folder, test_folder = root / options.train_folder, root / options.test_folder
    if test_folder.is_dir() and not train_folder.is_dir():
        raise InputError(
            f"dataset.root={root}: holds {test_folder.name}/ but no {train_folder.name}/; give dataset.train_folder, or "
            "another dataset.test_folder where all images lie in class folders"
        )
    if train_folder.is_dir() and test_folder.is_dir():
        training, classes = scan(train_folder, options)
        test, test_classes = scan(test_folder, options)
        if differ := sorted(set(classes) ^ set(test_classes)):
            raise InputError(
                f"dataset.root={root}: {train_folder.name}/ and {test_folder.name}/ must hold the same classes; "
                f"only one of them has {', '.join(differ[:5])}"
            )
    else:
        everything, classes = scan(train_folder if train_folder.is_dir() else root, options)
        kept, out = held_out(everything.labels, options.test, options.split_seed)
        training, test = everything.subset(kept), everything.subset(out)
    return split_training(training, test, classes, options, options.size, options.resize)


def scan(folder: Path, options: Folder) -> tuple[Images, list[str]]:
    """The images below each class folder, sorted by name, and the classes' names."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(classes) < 2:
        count = len(classes) or "no"
        raise InputError(
            f"{folder} holds {count} class folders, and two are needed; put the images of each class in a folder of its own"
        )
    try:
        found = make_dataset(folder, {name: label for label, name in enumerate(classes)}, IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: {str(error).splitlines()[0]}") from None
    files, labels = zip(*found, strict=True)
    images = Images(files, torch.tensor(labels))
    return (checked(images, options) if options.check_images else images), classes


def checked(images: Images, options: Folder) -> Images:
    """The same images, each decoded once; without the bad ones where they are to be skipped.

    Raises:
        InputError: naming the first image that cannot be decoded, where they are not to be skipped.
    """
    skip = options.bad_images == "skip"
    good: list[bool] = []
    with ThreadPoolExecutor() as pool, Progress("checking images", len(images)) as progress:
        try:
            for error in pool.map(fault, images.source, chunksize=64):
                if error is not None and not skip:
                    raise error
                if error is not None:
                    log.warning(f"skipped: {error}")
                good.append(error is None)
                progress.advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if all(good):
        return images
    left = images.subset(torch.tensor(good).nonzero().flatten())
    if len(left.labels.unique()) < len(images.labels.unique()):
        raise InputError(f"dataset.root={options.root}: no image of some class can be decoded; nothing is left of it")
    return left


def fault(path: str) -> InputError | None:
    try:
        decode(path)
    except InputError as error:
        return error
    return None
