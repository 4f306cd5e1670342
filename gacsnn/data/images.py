"""The images of one split, in memory or in files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import Transform

from gacsnn.data.transforms import Geometric
from gacsnn.errors import InputError


class Images(Dataset[tuple[Tensor, Tensor]]):
    """One split. An item is asked for by (index, seed of its augmentation); it is (uint8 [3, H, W], label).

    `source` is either one tensor, uint8 [N, 3, H, W], or a list of N image files.
    """

    def __init__(self, source: Tensor | Sequence[str], labels: Tensor, transform: Transform | None = None) -> None:
        assert len(source) == len(labels)
        self.source = source
        self.labels = labels
        self.transform = transform

    @property
    def in_memory(self) -> bool:
        return isinstance(self.source, Tensor)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor]:
        index, seed = item
        stored = self.source[index]
        image: Any = stored if isinstance(stored, Tensor) else decode(stored)
        if self.transform is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                image = self.transform(image)
        return image, self.labels[index]

    def batch(self, items: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """These items as uint8 [B, 3, H, W] and labels [B]; at once, where images are in memory and little is done to them."""
        indices = torch.tensor([index for index, _ in items], dtype=torch.long)
        if isinstance(self.source, Tensor) and isinstance(self.transform, Geometric | None):
            images = self.source[indices].contiguous()
            if self.transform is not None:
                images = self.transform.of_batch(images, [seed for _, seed in items])
        elif items:
            images = torch.stack([self[item][0] for item in items])
        else:
            images = self[0, 0][0].new_empty(0, *self[0, 0][0].shape)
        return images, self.labels[indices]

    def subset(self, indices: Tensor, transform: Transform | None = None) -> "Images":
        """These images only, with this transform."""
        numbers: list[int] = indices.tolist()
        source = self.source[indices] if isinstance(self.source, Tensor) else [self.source[i] for i in numbers]
        return Images(source, self.labels[indices], transform)

    def limited(self, limit: int | None) -> "Images":
        """At most `limit` images, always the same, drawn over the whole split (folders are sorted by class)."""
        if limit is None or limit >= len(self):
            return self
        drawn = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:limit]
        return self.subset(drawn.sort().values, self.transform)


def decode(path: str) -> Image.Image:
    """An image file as RGB.

    Raises:
        InputError: naming the file, when it is missing or cannot be decoded.
    """
    try:
        if (file := Path(path)).exists() and not file.is_file():  # a pipe would be waited for
            raise OSError("it is no file")
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be decoded as an image ({str(error).replace(repr(str(path)), 'the file')}); remove it, "
            "or leave out all such with dataset.check_images=true dataset.bad_images=skip"
        ) from None
