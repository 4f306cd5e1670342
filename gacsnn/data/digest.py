"""A digest of each split, by which a run recognises its images."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from gacsnn.data.images import Images
from gacsnn.data.splits import Splits

# {"training": {"images": 1221, "digest": "8f..."}, "validation": ..., "test": ...}
Digests = Mapping[str, Mapping[str, Any]]

# Files that a thread looks at before it takes the next ones. Over a network most of the time is waiting.
CHUNK, THREADS = 1024, 16


def digests_of(splits: Splits, root: str | None) -> Digests:
    """Return the number of images and a digest for each split.

    The digest of images in memory is made of their pixels and labels. The digest of image files is made of their names below
    `root`, their sizes in bytes and their labels: no file is opened, and the folder may move as a whole.
    """
    named = {"training": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: {"images": len(images), "digest": digest_of(images, root)}
        for name, images in named.items()
        if images is not None
    }


def digest_of(images: Images, root: str | None) -> str:
    digest = hashlib.sha256(images.labels.numpy().tobytes())
    if isinstance(images.source, Tensor):
        digest.update(images.source.numpy().tobytes())
    elif isinstance(images.source, Sequence):
        folder = "" if root is None else f"{Path(root)}{os.sep}"
        named = zip(images.source, sizes_of(images.source), strict=True)
        lines = (f"{path.removeprefix(folder)}\0{size}\n" for path, size in named)
        digest.update("".join(lines).encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def sizes_of(paths: Sequence[str]) -> list[int]:
    """Return the size of each file in bytes."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        return [size for found in pool.map(lambda chunk: [size_of(path) for path in chunk], chunks) for size in found]


def size_of(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116  faster than a Path
    except OSError:
        return -1  # the loader names such a file


def changes(there: Digests, here: Digests) -> str:
    """Return the changes between the images of a saved run and the images of today; "" if there are none."""
    found = []
    for name in {**there, **here}:
        saved, now = (splits.get(name, {"images": 0}) for splits in (there, here))
        if saved["images"] != now["images"]:
            found.append(f"there were {saved['images']} {name} images, and now there are {now['images']}")
        elif saved != now:
            found.append(f"there are {now['images']} {name} images as before, but not the same ones")
    return "; ".join(found)
