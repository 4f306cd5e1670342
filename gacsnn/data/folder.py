"""Images in class folders: ImageNet's, or anyone's, at any size."""

import itertools
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from gacsnn.config.schema import Folder
from gacsnn.data.images import EIGHT_BITS, Images, decode
from gacsnn.data.splits import Splits, held_out, named, split_training
from gacsnn.errors import InputError
from gacsnn.runtime.console import Progress, log
from gacsnn.runtime.datasets import class_folders, list_images

# A class with fewer training images is worth a warning.
ENOUGH = 10

# Images of a suffix that are decoded before the training without check_images: about a second of work.
SAMPLE = 200


def load(options: Folder) -> Splits:
    """Return the splits of class folders, and log how they were made.

    Raises:
        InputError: for a missing or empty folder, classes that differ, an image that cannot be decoded.
    """
    classes = next(iter(class_folders(options).values()))
    found = list_images(options)
    (training, *others), views = zip(*(checked(files, classes, options) for files in found.values()), strict=True)
    if others:
        test = others[0]
    else:
        option = f"dataset.test={options.test}"
        kept, out = held_out(training.labels, options.test, options.split_seed, option, classes)
        training, test = training.subset(kept), training.subset(out)
    splits = split_training(training, test, classes, options, options.size, options.resize)
    log.info(f"images: {resizing([view.size for view in itertools.chain.from_iterable(views)], options)}")
    log.info(f"splits: {origins(list(found), options)}")
    warn_of_small_classes(splits)
    return splits


@dataclass(frozen=True)
class View:
    """A decoded image: its size and its largest pixel in 8 bits."""

    path: str
    size: tuple[int, int]
    brightest: int


def checked(files: Sequence[Sequence[str]], classes: Sequence[str], options: Folder) -> tuple[Images, list[View]]:
    """Return the images of each class in turn, without those to be skipped, and a view of each that was decoded.

    With `check_images` each image is decoded, else a sample.

    Raises:
        InputError: for the first image that cannot be decoded, unless such images are to be skipped; for a class without a good
            image; for images that have too few levels in 8 bits.
    """
    paths = list(itertools.chain.from_iterable(files)) if options.check_images else sample_of(files)
    views: list[View] = []
    bad: set[str] = set()
    with ThreadPoolExecutor() as pool, Progress("checking images", len(paths)) as progress:
        try:
            for path, view in zip(paths, pool.map(view_of, paths), strict=True):
                if isinstance(view, View):
                    views.append(view)
                elif options.bad_images == "skip":
                    log.warning(f"skipped: {view}")
                    bad.add(path)
                else:
                    raise view
                progress.advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    good = [[path for path in each if path not in bad] for each in files]
    if lost := [name for name, left in zip(classes, good, strict=True) if not left]:
        raise InputError(f"dataset.root={options.root}: no image of the class {lost[0]} can be decoded")
    check_levels(views)
    labels = torch.arange(len(good)).repeat_interleave(torch.tensor([len(left) for left in good]))
    return Images(list(itertools.chain.from_iterable(good)), labels), views


def sample_of(files: Sequence[Sequence[str]]) -> list[str]:
    """Return, for each suffix, the first image of up to `SAMPLE` classes, spread evenly over those that have one."""
    firsts: dict[str, list[str]] = {}
    for paths in files:
        for suffix, path in {path.rpartition(".")[2]: path for path in reversed(paths)}.items():
            firsts.setdefault(suffix, []).append(path)
    return [path for paths in firsts.values() for path in paths[:: math.ceil(len(paths) / SAMPLE)]]


def view_of(path: str) -> View | InputError:
    """Decode an image; return its view, or the error."""
    try:
        image = decode(path)
    except InputError as error:
        return error
    extrema = image.getextrema()
    return View(path, image.size, max(int(high) for _, high in extrema))  # type: ignore[misc]


def check_levels(views: Sequence[View]) -> None:
    """Raise InputError if even the brightest of deep images uses a sixteenth of its range, as 12 bits stored in 16 do."""
    brightest = max(views, key=lambda view: view.brightest)
    if not 0 < brightest.brightest < 16:
        return
    with Image.open(brightest.path) as image:
        mode = image.mode
    if mode not in EIGHT_BITS:
        raise InputError(
            f"{brightest.path}: mode {mode}: this is the brightest of {len(views):,} images and reaches {brightest.brightest} of "
            "255, so that 8 bits keep too few levels; multiply all images by one factor (16 for 12 bits stored in 16)"
        )


def resizing(sizes: Iterable[tuple[int, int]], options: Folder) -> str:
    """Return from which sizes to which the transforms bring the images, and how."""
    stored = sorted(set(sizes), key=math.prod)
    shown = " to ".join(f"{width}x{height}" for width, height in dict.fromkeys((stored[0], stored[-1])))
    details = [f"{len(stored):,} sizes"] if len(stored) > 2 else []
    details += [] if options.check_images else ["a sample"]
    more = f" ({', '.join(details)})" if details else ""
    how = f"shorter side resized to {options.resize}, centre crop"
    if options.augment.resized_crop:
        how += "; training images: a random crop resized, RandomResizedCrop"
    return f"{shown}{more} -> {options.size}x{options.size} pixels ({how})"


def origins(folders: Sequence[Path], options: Folder) -> str:
    """Return which folder became which split."""
    source, *tests = [f"{folder.resolve().name}/" for folder in folders]
    test = f"{tests[0]} is the test split" if tests else f"{100 * options.test:g} % of {source} are the test split"
    validation = f"{100 * options.validation:g} %" if options.validation else "nothing"
    return f"{test}; {validation} of {source if tests else 'the rest'} is held out for validation"


def warn_of_small_classes(splits: Splits) -> None:
    """Warn of classes with few training images, or with no validation or test image."""
    parts = {"training": (splits.train, ENOUGH), "validation": (splits.validation, 1), "test": (splits.test, 1)}
    for name, (images, enough) in parts.items():
        if images is None:
            continue
        counts = torch.bincount(images.labels, minlength=len(splits.classes)).tolist()
        small = sorted((count, label) for count, label in zip(counts, splits.classes, strict=True) if count < enough)
        if small:
            less = f"fewer than {enough}" if enough > 1 else "no"
            log.warning(f"{len(small):,} of {len(counts):,} classes have {less} {name} images: {named(small)}")
