"""Class folders with images that are none, and folders that are no class folders."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from battery.driver import Case, Prepare
from battery.made import IMAGES, ON_IMAGES
from PIL import Image, PngImagePlugin

ONE = "images/train/ant/0.png"
NAMED = ("train/ant/0.", "images")


def put(content: bytes, name: str = ONE) -> Prepare:
    def do(folder: Path) -> None:
        replaced(folder / name).write_bytes(content)

    return do


def replaced(path: Path) -> Path:
    """A path where there is nothing."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def kind(what: str, name: str) -> Prepare:
    """Something else in place of a file."""

    def do(folder: Path) -> None:
        path = replaced(folder / name)
        if what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "loop":
            path.symlink_to(path.name)
        elif what == "broken link":
            path.symlink_to("nowhere")
        elif what == "zeros":
            path.symlink_to("/dev/zero")
        elif what == "nothing":
            path.symlink_to("/dev/null")
        else:
            path.write_text(what)

    return do


def image(mode: str, size: tuple[int, int], name: str = ONE, **options: object) -> Prepare:
    def do(folder: Path) -> None:
        replaced(folder / ONE)
        Image.new(mode, size).save(folder / name, **options)  # type: ignore[arg-type]

    return do


def encoded(format: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 16)).save(content, format)
    return content.getvalue()


def text_bomb(folder: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("k", "x" * 50_000_000, zip=True)
    Image.new("RGB", (16, 16)).save(folder / ONE, pnginfo=info)


def moved(one: str, other: str) -> Prepare:
    return lambda folder: shutil.move(folder / one, folder / other)


def removed(*names: str) -> Prepare:
    def do(folder: Path) -> None:
        for name in names:
            for path in sorted(folder.glob(name)):
                replaced(path)

    return do


def both(*steps: Callable[[Path], object]) -> Prepare:
    def do(folder: Path) -> None:
        for step in steps:
            step(folder)

    return do


def train(**options: object) -> tuple[str, ...]:
    return (*ON_IMAGES, "output_dir=new", *(f"dataset.{name}={value}" for name, value in options.items()))


CASES = [
    # Files that are no images
    *(
        Case(train(), "train/ant/0.png", prepare=prepare)
        for prepare in (
            put(b""),
            put(b"no image"),
            put(b"\0" * 1000),
            put(encoded("PNG")[:50]),
            put(encoded("JPEG")[:100]),
            put(encoded("GIF")[:12]),
            put(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            put(b"\x89PNG\r\n\x1a\n" + b"\xff" * 100),
            put(encoded("PNG").replace(b"IDAT", b"IDAX")),
            kind("fifo", ONE),
            kind("loop", ONE),
            kind("broken link", ONE),
            kind("zeros", ONE),
            kind("nothing", ONE),
            image("1", (14000, 14000)),
            text_bomb,
        )
    ),
    *(
        Case(train(bad_images="skip"), "0.png", code=0, prepare=prepare)
        for prepare in (put(b"no image"), put(encoded("JPEG")[:100]), kind("fifo", ONE), kind("broken link", ONE))
    ),
    # Strange ones that are images
    *(
        Case(train(), "results in", code=0, prepare=prepare)
        for prepare in (
            image("P", (16, 16), transparency=bytes([1, 2, 3])),
            image("LA", (16, 16)),
            image("I;16", (16, 16)),
            image("1", (16, 16)),
            image("RGBA", (16, 16)),
            image("F", (16, 16), "images/train/ant/0.tiff"),
            image("CMYK", (16, 16), "images/train/ant/0.jpg"),
            image("RGB", (1, 1)),
            image("RGB", (2000, 1)),
            image("1", (9500, 9500)),
            image("RGB", (16, 16), "images/train/ant/0.JPG"),
            image("RGB", (16, 16), "images/train/ant/\udcff.png"),
            image("RGB", (16, 16), "images/train/ant/" + "x" * 240 + ".png"),
            put(encoded("JPEG")),
            put(encoded("BMP")),
            kind("folder", ONE),
            both(put(b"hidden", "images/train/ant/.DS_Store"), put(b"x", "images/train/ant/notes.txt")),
        )
    ),
    # Folders
    *(
        Case(train(), said, prepare=prepare)
        for said, prepare in (
            ("ant", removed("images/train/ant/*")),
            ("images", removed("images/train/*", "images/val/*")),
            ("images", removed("images/train", "images/val")),
            ("images", removed("images")),
            ("images", removed("images/train")),
            ("images/train", removed("images/train/ant", "images/val/ant/*")),
            ("images/val", removed("images/val/ant")),
            ("images/train", removed("images/train/bee")),
            ("images", kind("a file", "images")),
            ("images", kind("fifo", "images")),
            ("images", kind("loop", "images")),
            ("images", kind("a file", "images/train")),
            ("images", kind("loop", "images/train")),
            ("cat", both(removed(), lambda folder: (folder / "images/train/cat").mkdir())),
            ("images", removed("images/train/*/[1-9]*", "images/train/bee/0.png")),
        )
    ),
    *(
        Case((*IMAGES, option, "output_dir=new"), said)
        for option, said in {
            "dataset.root=" + "x" * 300: "dataset.root",
            "dataset.root=nowhere": "nowhere",
            "dataset.root=.": "",
            "dataset.root=\\\\": "",
            "dataset.root=/": "/",
            "dataset.root=/dev/null": "/dev/null",
            "dataset.size=0": "dataset.size",
            "dataset.size=100000": "dataset.size",
            "dataset.resize=0": "dataset.resize",
            "dataset.resize=8": "resize=8",
            "dataset.bad_images=maybe": "bad_images",
            "dataset.check_images=maybe": "check_images",
            "dataset.validation=1.5": "validation",
            "dataset.augment.crop_padding=-1": "crop_padding",
            "dataset.augment.auto_augment=nope": "auto_augment",
        }.items()
    ),
    # CIFAR's files
    Case(("dataset=cifar10", "dataset.root=nowhere"), "cifar10"),
    Case(("dataset=cifar10", "dataset.root=run"), "cifar10"),
    Case(("dataset=cifar10",), "cifar10", prepare=put(b"cut", "data/cifar10/cifar-10-batches-py/data_batch_1")),
    Case(("dataset=cifar10",), "cifar10", prepare=put(b"", "data/cifar-10-batches-py/data_batch_1")),
    Case(("dataset=cifar100",), "cifar100", prepare=put(b"cut", "data/cifar100/cifar-100-python/train")),
    Case(("dataset=cifar100",), "cifar100", prepare=kind("a file", "data")),
    Case(("dataset=imagenet",), "imagenet", prepare=kind("a file", "data/imagenet")),
    Case(("dataset=synthetic", "dataset.images=0"), "dataset.images"),
    Case(("dataset=synthetic", "dataset.classes=0"), "dataset.classes"),
    Case(("dataset=synthetic", "dataset.size=1", "output_dir=new"), "dataset.size"),
]
