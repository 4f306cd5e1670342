"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), as torchvision reads them."""

from pathlib import Path
from urllib.error import URLError

import torch
from torchvision.datasets import CIFAR10, CIFAR100

from gacsnn.config.schema import Cifar
from gacsnn.data.images import Images
from gacsnn.data.splits import Splits, split_training
from gacsnn.errors import InputError
from gacsnn.runtime.datasets import CIFAR_SIDE, missing_cifar

READERS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def load(options: Cifar) -> Splits:
    """Raises InputError when the files are missing and may not or cannot be downloaded."""
    training, classes = read(options, train=True)
    test, _ = read(options, train=False)
    return split_training(training, test, classes, options, CIFAR_SIDE)


def read(options: Cifar, train: bool) -> tuple[Images, list[str]]:
    reader = READERS[options.name]
    folder = Path(options.root) / reader.base_folder
    try:
        source = reader(options.root, train=train, download=options.download)
    except (URLError, OSError) as error:
        raise InputError(
            f"dataset.root={options.root}: {options.name} could not be downloaded there ({error}); "
            f"fetch it elsewhere and unpack it as {folder}"
        ) from None
    except RuntimeError:
        raise missing_cifar(options) from None
    images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
    return Images(images, torch.tensor(source.targets)), list(source.classes)
