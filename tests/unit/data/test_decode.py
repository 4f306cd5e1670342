"""Each kind of image file gives the pixels of the same picture in 8-bit RGB, or is refused by name."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, TiffImagePlugin
from samples import COMMON

from gacsnn.config.schema import Folder
from gacsnn.data import load_splits
from gacsnn.data.images import EIGHT_BITS, decode, to_rgb
from gacsnn.data.splits import Splits
from gacsnn.errors import InputError


def folder(root: Path) -> Splits:
    options = {"train_folder": "train", "test_folder": "val", "test": 0.2, "size": 12, "resize": 14}
    options |= {"check_images": True, "bad_images": "stop", **COMMON}
    return load_splits(Folder(name="image_folder", root=str(root), **options))


# A grey and a coloured picture, 24 x 16, neither of which a turn or a flip leaves as it is.
ROWS, COLUMNS = np.mgrid[:16, :24]
GREY = (10 * COLUMNS + ROWS).astype(np.uint8)
COLOUR = np.stack([GREY, 15 * ROWS, 255 - 10 * COLUMNS], axis=-1).astype(np.uint8)
OPAQUE = np.full_like(GREY, 255)
DEEP = GREY.astype(np.uint16) * 257  # 255 -> 65,535

Make = Callable[[Path], object]


def pixels(mode: str, array: np.ndarray) -> Make:
    return lambda path: Image.frombytes(mode, (24, 16), array.tobytes()).save(path)


def saved(array: np.ndarray, mode: str | None = None, **options: object) -> Make:
    def make(path: Path) -> None:
        image = Image.fromarray(array)
        (image if mode is None else image.convert(mode)).save(path, **options)  # type: ignore[arg-type]

    return make


def written(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


def png16(colour_type: int, array: np.ndarray, key: bytes = b"") -> Make:
    """A PNG of 16 bits a channel, which Pillow cannot write in all kinds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array.reshape(16, -1))
    header = struct.pack(">IIBBBBB", 24, 16, 16, colour_type, 0, 0, 0)
    transparent = chunk(b"tRNS", key) if key else b""
    return written(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + transparent
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def tiff(data: bytes, bits: tuple[int, ...], photometric: int = 1, **tags: int) -> Make:
    """An uncompressed TIFF of one strip, which Pillow cannot write in all kinds."""

    def make(path: Path) -> None:
        file = TiffImagePlugin.ImageFileDirectory_v2()
        file[256], file[257], file[258], file[259], file[262] = 24, 16, bits, 1, photometric
        file[273], file[277], file[278], file[279] = 0, len(bits), 16, len(data)  # Pillow adds where the strip begins
        for number, value in tags.items():
            file[int(number.removeprefix("tag"))] = value
        path.write_bytes(b"II*\0" + struct.pack("<I", 8) + file.tobytes(8) + data)

    return make


def packed(values: np.ndarray) -> bytes:
    """12 bits a value."""
    bits = ((values.reshape(-1, 1) >> np.arange(11, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(bits).tobytes()


def cut(kind: str) -> Make:
    def make(path: Path) -> None:
        Image.fromarray(COLOUR).save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 2 // 3])

    return make


def lab(path: Path) -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    changed = ImageCms.applyTransform(Image.fromarray(MUTED), to_lab)
    assert changed is not None
    changed.save(path)


MUTED = (COLOUR // 4 + 96).astype(np.uint8)  # within what Lab's 8 bits keep
PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.arange(256) // 2], axis=-1).astype(np.uint8)
PAINTED = PALETTE[GREY]
BILEVEL = np.where(GREY > 100, 255, 0).astype(np.uint8)


def palette(alpha: bool = False, **options: object) -> Make:
    def make(path: Path) -> None:
        image = Image.fromarray(GREY).convert("P")
        image.putpalette(PALETTE.tobytes())
        if alpha:
            both = Image.merge("PA", (image, Image.fromarray(OPAQUE)))
            both.putpalette(PALETTE.tobytes())
            image = both
        image.save(path, **options)  # type: ignore[arg-type]

    return make


def pgm(white: int, array: np.ndarray) -> Make:
    return written(b"P5 24 16 %d\n" % white + array.tobytes())


# File, Pillow's mode of it, what makes it, the same picture in 8 bits, how far apart they may be.
KEPT: list[tuple[str, str, Make, np.ndarray, int]] = [
    ("1.png", "1", saved(BILEVEL, "1"), BILEVEL, 0),
    ("L.png", "L", saved(GREY), GREY, 0),
    ("LA.png", "LA", saved(np.dstack([GREY, OPAQUE])), GREY, 0),
    ("La.tif", "La", tiff(np.dstack([GREY, OPAQUE]).tobytes(), (8, 8), tag338=1), GREY, 0),
    ("P.png", "P", palette(), PAINTED, 0),
    ("P-alphas.png", "P", palette(transparency=bytes([255] * 256)), PAINTED, 0),
    ("PA.tif", "PA", palette(alpha=True), PAINTED, 0),
    ("RGB.png", "RGB", saved(COLOUR), COLOUR, 0),
    ("RGB.ppm", "RGB", saved(COLOUR), COLOUR, 0),
    ("RGB.bmp", "RGB", saved(COLOUR), COLOUR, 0),
    ("RGB.webp", "RGB", saved(COLOUR, lossless=True), COLOUR, 0),
    ("RGBA.png", "RGBA", saved(np.dstack([COLOUR, OPAQUE])), COLOUR, 0),
    ("opaque.webp", "RGB", saved(np.dstack([COLOUR, OPAQUE]), lossless=True), COLOUR, 0),
    ("premultiplied.tif", "RGBA", tiff(np.dstack([COLOUR, OPAQUE]).tobytes(), (8, 8, 8, 8), 2, tag338=1), COLOUR, 0),
    (
        "unused-channel.tif",
        "RGB",
        tiff(np.dstack([COLOUR, 0 * OPAQUE]).tobytes(), (8, 8, 8, 8), 2, tag338=0),
        COLOUR,
        0,
    ),
    ("CMYK.tif", "CMYK", saved(COLOUR, "CMYK"), COLOUR, 0),
    ("CMYK.jpg", "CMYK", saved(MUTED, "CMYK", quality=100, subsampling=0), MUTED, 4),
    (
        "YCbCr.tif",
        "YCbCr",
        tiff(np.asarray(Image.fromarray(COLOUR).convert("YCbCr")).tobytes(), (8, 8, 8), 6),
        COLOUR,
        3,
    ),
    ("LAB.tif", "LAB", lab, MUTED, 6),
    ("L.jpg", "L", saved(GREY, quality=100), GREY, 4),
    ("I;16.png", "I;16", saved(DEEP), GREY, 0),
    ("I;16.tif", "I;16", saved(DEEP), GREY, 0),
    ("I;16-lzw.tif", "I;16", saved(DEEP, compression="tiff_lzw"), GREY, 0),
    ("I;16B.tif", "I;16B", pixels("I;16B", DEEP.astype(">u2")), GREY, 0),
    ("I;16-inverted.tif", "I;16", tiff((65535 - DEEP).astype("<u2").tobytes(), (16,), 0), GREY, 0),
    ("L-inverted.tif", "L", tiff((255 - GREY).tobytes(), (8,), 0), GREY, 0),
    ("12-bit.tif", "I;16", tiff(packed(GREY.astype(int) * 16 + 7), (12,)), GREY, 0),
    ("16-bit-RGB.png", "RGB", png16(2, COLOUR.astype(int) * 257), COLOUR, 0),
    ("16-bit-RGB.tif", "RGB", tiff((COLOUR.astype("<u2") * 257).tobytes(), (16, 16, 16), 2), COLOUR, 0),
    ("16-bit-RGBA.png", "RGBA", png16(6, np.dstack([COLOUR, OPAQUE]).astype(int) * 257), COLOUR, 0),
    ("16-bit-LA.png", "RGBA", png16(4, np.dstack([GREY, OPAQUE]).astype(int) * 257), GREY, 0),
    ("8-bit.pgm", "L", pgm(255, GREY), GREY, 0),
    ("4-bit.pgm", "L", pgm(15, GREY // 16), GREY // 16 * 17, 0),
    ("10-bit.pgm", "I", pgm(1023, (GREY.astype(int) * 1023 // 255).astype(">u2")), GREY, 1),
    ("16-bit.pgm", "I", pgm(65535, DEEP.astype(">u2")), GREY, 0),
    ("F.tif", "F", saved((GREY / 255).astype(np.float32)), GREY, 0),
]


@pytest.mark.parametrize(("name", "mode", "make", "picture", "apart"), KEPT, ids=[case[0] for case in KEPT])
def test_each_mode_gives_the_pixels_of_the_picture_in_8_bits(
    tmp_path: Path, name: str, mode: str, make: Make, picture: np.ndarray, apart: int
) -> None:
    make(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.mode == mode
    assert difference(decode(str(tmp_path / name)), picture) <= apart


def difference(image: Image.Image, picture: np.ndarray) -> int:
    """Return how far an RGB image is from a grey or coloured picture."""
    assert image.mode == "RGB"
    wanted = picture if picture.ndim == 3 else np.dstack([picture] * 3)
    assert image.size == (wanted.shape[1], wanted.shape[0])
    return int(np.abs(np.asarray(image, dtype=int) - wanted).max())


@pytest.mark.parametrize("mode", ["RGBX", "RGBa", "HSV", "La", "I;16L", "I;16B", "I;16N"])
def test_modes_that_files_seldom_have_keep_the_picture_too(mode: str) -> None:
    if mode.startswith("I;16"):
        image, picture = (
            Image.frombytes(mode, (24, 16), DEEP.astype(">u2" if mode == "I;16B" else "<u2").tobytes()),
            GREY,
        )
    elif mode == "La":
        image, picture = Image.fromarray(np.dstack([GREY, OPAQUE])).convert("La"), GREY
    else:
        image, picture = Image.fromarray(COLOUR).convert(mode), COLOUR
    assert image.mode == mode
    assert difference(to_rgb(image), picture) <= (6 if mode == "HSV" else 0)


def test_every_mode_of_pillow_has_a_rule_or_is_refused() -> None:
    deep = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
    assert set(Image.MODES) == EIGHT_BITS | deep


def test_a_mode_without_a_rule_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gacsnn.data.images.EIGHT_BITS", EIGHT_BITS - {"LAB"})
    with pytest.raises(ValueError, match="mode LAB: no rule for it"):
        to_rgb(Image.new("LAB", (2, 2)))


# The left half is transparent, the right half opaque.
LEFT = COLUMNS < 12
ALPHA = np.where(LEFT, 0, 255).astype(np.uint8)


def on_white(picture: np.ndarray) -> np.ndarray:
    return np.where(LEFT[..., None] if picture.ndim == 3 else LEFT, 255, picture)


def keyed(array: np.ndarray, key: object, hidden: object) -> tuple[Make, np.ndarray]:
    """A picture whose left half has the transparent colour."""
    picture = array.copy()
    picture[LEFT] = hidden
    return saved(picture, transparency=key), on_white(picture)


TRANSPARENT: list[tuple[str, Make, np.ndarray]] = [
    ("RGBA.png", saved(np.dstack([COLOUR, ALPHA])), on_white(COLOUR)),
    ("RGBA.webp", saved(np.dstack([COLOUR, ALPHA]), lossless=True, exact=True), on_white(COLOUR)),
    ("RGBA.tif", saved(np.dstack([COLOUR, ALPHA])), on_white(COLOUR)),
    ("LA.png", saved(np.dstack([GREY, ALPHA])), on_white(GREY)),
    ("16-bit-LA.png", png16(4, np.dstack([GREY, ALPHA]).astype(int) * 257), on_white(GREY)),
    ("L.png", *keyed(GREY, 99, 99)),
    ("RGB.png", *keyed(COLOUR, (9, 8, 7), (9, 8, 7))),
    ("P-index.png", palette(transparency=0), np.where(GREY[..., None] == 0, 255, PAINTED)),
    ("P-alphas.png", palette(transparency=bytes([0] * 50 + [255] * 206)), np.where(GREY[..., None] < 50, 255, PAINTED)),
    ("I;16.png", png16(0, np.where(LEFT, 1234, DEEP), struct.pack(">H", 1234)), on_white(GREY)),
    ("half.png", saved(np.dstack([COLOUR, OPAQUE // 2])), (COLOUR / 2 + 127.5)),
]


@pytest.mark.parametrize(("name", "make", "picture"), TRANSPARENT, ids=[case[0] for case in TRANSPARENT])
def test_transparent_pixels_are_composed_over_white_whatever_colour_they_hide(
    tmp_path: Path, name: str, make: Make, picture: np.ndarray
) -> None:
    make(tmp_path / name)
    assert difference(decode(str(tmp_path / name)), picture) <= 1


FRAMES = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
REFUSED: list[tuple[str, Make, str]] = [
    ("int32.tif", saved(GREY.astype(np.int32) * 2**23), "mode I: the white of 32-bit integers is not known; save"),
    ("int16.tif", tiff((DEEP // 2).astype("<i2").tobytes(), (16,), tag339=2), "mode I: the white of"),
    ("above.tif", saved(GREY.astype(np.float32)), "mode F: floating pixels must be from 0 to 1, not 0 to 245; scale"),
    ("below.tif", saved((GREY / 255 - 0.5).astype(np.float32)), "not -0.5 to 0.46"),
    ("nan.tif", saved(np.where(LEFT, np.nan, 0.5).astype(np.float32)), "mode F: .* not nan to nan"),
    ("inf.tif", saved(np.where(LEFT, np.inf, 0.5).astype(np.float32)), "mode F: .* not 0.5 to inf"),
    *(
        (
            f"frames.{kind}",
            lambda path: FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:]),
            "several frames: save",
        )
        for kind in ("png", "tif", "webp")
    ),
    (
        "gif.png",
        lambda path: FRAMES[0].save(path, "GIF", save_all=True, append_images=FRAMES[1:]),
        "several frames: save",
    ),
    *((f"cut.{kind}", cut(kind), "") for kind in ("jpg", "png", "tif", "webp", "bmp", "ppm")),
]


@pytest.mark.parametrize(("name", "make", "said"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_picture_that_cannot_be_kept_is_refused_by_name(tmp_path: Path, name: str, make: Make, said: str) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} cannot be decoded as an image \(.*{said}"):
        decode(str(tmp_path / name))


TURNS = [
    None,
    lambda x: x,
    np.fliplr,
    lambda x: np.rot90(x, 2),
    np.flipud,
    lambda x: x.swapaxes(0, 1),
    lambda x: np.rot90(x, -1),
    lambda x: np.rot90(x, 2).swapaxes(0, 1),
    lambda x: np.rot90(x, 1),
]


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_in_the_exif_data_turns_the_picture_upright(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    turn = TURNS[orientation]
    assert turn is not None
    path = tmp_path / f"turned.{kind}"
    options = {"quality": 100} if kind == "jpg" else {"lossless": True} if kind == "webp" else {}
    saved(np.dstack([GREY] * 3), exif=exif, **options)(path)
    assert difference(decode(str(path)), turn(np.dstack([GREY] * 3))) <= (4 if kind == "jpg" else 0)


def test_a_picture_with_damaged_exif_data_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[274] = "maker", 6
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    for kind, options in (("webp", {"lossless": True}), ("jpg", {"quality": 100})):
        path = tmp_path / f"a.{kind}"
        saved(np.dstack([GREY] * 3), exif=exif, **options)(path)
        whole = path.read_bytes()
        assert content in whole
        path.write_bytes(whole.replace(content, b"XX" + content[2:]))
        assert difference(decode(str(path)), GREY) <= 4


def test_photos_of_phones_give_their_first_picture(tmp_path: Path) -> None:
    first, preview = (Image.fromarray(np.dstack([picture] * 3)) for picture in (GREY, 255 - GREY))
    first.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[preview], quality=100)
    with Image.open(tmp_path / "photo.jpg") as image:
        assert (image.format, image.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
    assert difference(decode(str(tmp_path / "photo.jpg")), GREY) <= 4


def test_plain_jpegs_stay_what_they_were_bit_for_bit(tmp_path: Path) -> None:
    for name, array in (("L.jpg", GREY), ("RGB.jpg", COLOUR)):
        Image.fromarray(array).save(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(decode(str(tmp_path / name))))


def test_deep_images_train_with_the_pixels_of_those_in_8_bits(tmp_path: Path) -> None:
    """As `image_depth.py` among the shared cases: the same two classes in several depths."""
    kinds = {
        "grey8.png": lambda x: (x * 255).astype(np.uint8),
        "grey16.png": lambda x: (x * 65535).astype(np.uint16),
        "grey16.tif": lambda x: (x * 65535).astype(np.uint16),
        "float.tif": lambda x: x.astype(np.float32),
        "int32.tif": lambda x: (x * (2**31 - 1)).astype(np.int32),
    }
    splits = {}
    for kind, store in kinds.items():
        generator = np.random.default_rng(0)
        for index in range(20):
            x = generator.uniform(0.3, 0.5, (16, 16))
            x[:, 8 * (index % 2) : 8 * (index % 2) + 8] += 0.4
            path = tmp_path / kind / ("left", "right")[index % 2] / f"{index}.{kind.rpartition('.')[2]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(store(x)).save(path)
        if kind == "int32.tif":
            with pytest.raises(InputError, match="mode I: the white of 32-bit integers is not known"):
                folder(tmp_path / kind)
        else:
            splits[kind] = folder(tmp_path / kind)
    for name in ("train", "validation", "test"):
        images = {kind: getattr(each, name) for kind, each in splits.items()}
        for kind, part in images.items():
            assert torch.equal(part.labels, images["grey8.png"].labels)
            for index in range(len(part)):
                apart = part[index, 0][0].int() - images["grey8.png"][index, 0][0].int()
                assert apart.abs().max() <= 1, kind
