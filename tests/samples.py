"""Images, their options, and data sets small enough to compare as a whole."""

import hashlib
import pickle
from pathlib import Path

import torch

from gacsnn.config.schema import Augment, Digits
from gacsnn.data import load_splits
from gacsnn.data.images import Images
from gacsnn.data.splits import Splits

PLAIN = Augment(crop_padding=0, flip=False, rotation=0.0, resized_crop=False, auto_augment="none")
COMMON = {"layout": "cifar", "mean": None, "std": None, "validation": 0.25, "split_seed": 0, "augment": PLAIN}


def augmented(**options: object) -> Augment:
    return PLAIN.model_copy(update=options)


def coloured(count: int) -> Images:
    """Random images whose channels differ in scale, each with a label of its own."""
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([60, 120, 255])[None, :, None, None]
    images = (torch.rand(count, 3, 4, 5, generator=generator) * scale).to(torch.uint8)
    return Images(images, torch.arange(count))


def digits(**options: object) -> Splits:
    return load_splits(Digits(name="digits", test=0.2, **{**COMMON, **options}))


def everything(splits: Splits) -> list[Images | None]:
    return [splits.for_evaluation(name) for name in ("train", "validation", "test")]


def rows(*parts: Images | None) -> list[bytes]:
    """Every image with its label, without augmentation, sorted."""
    return sorted(
        part[i, 0][0].numpy().tobytes() + bytes([int(label)])
        for part in parts
        if part is not None
        for i, label in enumerate(part.labels)
    )


def write_pickle(path: Path, content: dict[str, object]) -> str:
    """A file as CIFAR's authors write theirs. Gives its MD5, which torchvision asks for."""
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()
