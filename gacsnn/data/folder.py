"""Images in class folders: ImageNet's, or anyone's, at any size."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from gacsnn.config.schema import Folder
from gacsnn.data.images import Images, decode
from gacsnn.data.splits import Splits, held_out, split_training
from gacsnn.errors import InputError
from gacsnn.runtime.console import Progress, log
from gacsnn.runtime.datasets import class_folders, list_images


def load(options: Folder) -> Splits:
    """Raises InputError for a missing or empty folder, classes that differ, an image that cannot be decoded."""
    classes = next(iter(class_folders(options).values()))
    training, *others = [images_of(files, options) for files in list_images(options).values()]
    if others:
        test = others[0]
    else:
        option = f"dataset.test={options.test}"
        kept, out = held_out(training.labels, options.test, options.split_seed, option, classes)
        training, test = training.subset(kept), training.subset(out)
    return split_training(training, test, classes, options, options.size, options.resize)


def images_of(files: Sequence[Sequence[str]], options: Folder) -> Images:
    """Return the images of each class in turn, checked if the options say so."""
    counts = torch.tensor([len(paths) for paths in files])
    labels = torch.arange(len(files)).repeat_interleave(counts)
    images = Images(list(itertools.chain.from_iterable(files)), labels)
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
