"""Data sets by name: each source is one file here and one in `conf/dataset/`."""

from collections.abc import Callable
from typing import Any

from gacsnn.config.schema import AnyDataset
from gacsnn.data import cifar, digits, folder, synthetic
from gacsnn.data.splits import Splits

SOURCES: dict[str, Callable[[Any], Splits]] = {
    "digits": digits.load,
    "cifar10": cifar.load,
    "cifar100": cifar.load,
    "imagenet": folder.load,
    "image_folder": folder.load,
    "synthetic": synthetic.load,
}


def load_splits(options: AnyDataset) -> Splits:
    """Training, validation and test split of a data set.

    Raises:
        InputError: when it is missing, empty or damaged.
    """
    return SOURCES[options.name](options)
