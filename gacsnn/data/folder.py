"""Images in class folders: ImageNet's, or anyone's, at any size."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torchvision.datasets.folder import make_dataset

from gacsnn.config.schema import Folder
from gacsnn.data.images import Images, decode
from gacsnn.data.splits import Splits, held_out, split_training
from gacsnn.errors import InputError
from gacsnn.runtime.console import Progress, log
from gacsnn.runtime.datasets import SUFFIXES, class_folders


def load(options: Folder) -> Splits:
    """Raises InputError for a missing or empty folder, classes that differ, an image that cannot be decoded."""
    (folder, classes), *others = class_folders(options).items()
    training = scan(folder, classes, options)
    if others:
        test = scan(*others[0], options)
    else:
        kept, out = held_out(training.labels, options.test, options.split_seed, f"dataset.test={options.test}")
        training, test = training.subset(kept), training.subset(out)
    return split_training(training, test, classes, options, options.size, options.resize)


def scan(folder: Path, classes: Sequence[str], options: Folder) -> Images:
    """The images below each class folder, sorted by name."""
    try:
        found = make_dataset(folder, {name: label for label, name in enumerate(classes)}, SUFFIXES)
    except FileNotFoundError as error:  # a class that was emptied meanwhile
        raise InputError(f"{folder}: {str(error).splitlines()[0]}") from None
    files, labels = zip(*found, strict=True)
    images = Images(files, torch.tensor(labels))
    return checked(images, options) if options.check_images else images


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
