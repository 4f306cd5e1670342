"""The images of one split, in memory or in files."""

import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, TiffImagePlugin
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
        if len(source) != len(labels):
            raise ValueError(f"{len(source)} images and {len(labels)} labels: there should be one label for each image")
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
    """Return the picture of an image file as 8-bit RGB, by the rules of docs/images.md.

    Raises:
        InputError: for a file that is missing or damaged, or whose pixels have no rule. It names the file and the reason.
    """
    try:
        if (file := Path(path)).exists() and not file.is_file():  # a pipe would be waited for
            raise OSError("it is no file")
        with Image.open(path) as image:
            if image.format != "MPO" and getattr(image, "is_animated", False):  # an MPO is a photo and its previews
                raise ValueError("several frames: save the frame that counts as a file of its own")
            image.load()
            # The pixels are sound even if the EXIF data are not.
            with suppress(SyntaxError, ValueError, struct.error):
                ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be decoded as an image ({str(error).replace(repr(str(path)), 'the file')}); remove it, "
            "or leave out all such with dataset.check_images=true dataset.bad_images=skip"
        ) from None


# Pillow's modes with 8 bits or fewer a channel: its own conversion to RGB keeps the picture.
EIGHT_BITS = frozenset(["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"])


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image as 8-bit RGB, transparent parts over white.

    Raises:
        ValueError: for pixels whose white is not known, with the mode and a remedy.
    """
    if image.mode not in EIGHT_BITS:
        image = to_eight_bits(image)
    if image.mode == "La":
        image = image.convert("LA")  # Pillow has no direct way
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of one deep channel in mode L, or LA if it has a transparent value."""
    pixels, tags = np.asarray(image), getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):  # a PGM, scaled to 16 bits
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]  # a TIFF of 12 bits stays below 4,096
        levels = pixels >> (bits - 8)
    elif image.mode == "I":
        raise ValueError("mode I: the white of 32-bit integers is not known; save the image with 8 or 16 bits")
    elif image.mode == "F":
        low, high = pixels.min(), pixels.max()
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f"mode F: floating pixels must be from 0 to 1, not {low:g} to {high:g}; scale all images by one factor"
            )
        levels = np.rint(255 * pixels)
    else:
        raise ValueError(f"mode {image.mode}: no rule for it; save the image as 8-bit RGB")
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        levels = 255 - levels  # Pillow does this for 8 bits alone
    grey = Image.fromarray(levels.astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(pixels == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey


WHITE_IS_ZERO = 0
