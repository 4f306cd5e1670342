"""Images: splits, order, augmentation, mixing and the sources, against formulae and counts."""

import hashlib
import multiprocessing
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from gacsnn.config.schema import Augment, Augmentation, Cifar, Digits, Folder, Synthetic
from gacsnn.data import load_splits
from gacsnn.data import mixing as data_mixing
from gacsnn.data.images import Images
from gacsnn.data.loader import batches, begin_epoch
from gacsnn.data.mixing import Mixed, cutmix_box, draw, mix
from gacsnn.data.splits import Splits, held_out, measure
from gacsnn.data.transforms import evaluation_transform, training_transform
from gacsnn.errors import InputError

PLAIN = Augment(crop_padding=0, flip=False, rotation=0.0, resized_crop=False, auto_augment="none")
COMMON = {"layout": "cifar", "mean": None, "std": None, "validation": 0.25, "split_seed": 0, "augment": PLAIN}


def augmented(**options: object) -> Augment:
    return PLAIN.model_copy(update=options)


# CutMix and mix-up


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1), st.data())
def test_the_cutmix_box_is_that_of_the_formula_and_within_the_image(
    width: int, height: int, lam: float, data: st.DataObject
) -> None:
    cx, cy = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    r = np.sqrt(1 - lam)
    w, h = int(width * r), int(height * r)
    xs = np.clip([cx - w // 2, cx + w // 2], 0, width)
    ys = np.clip([cy - h // 2, cy + h // 2], 0, height)
    x1, y1, x2, y2 = box = cutmix_box(width, height, lam, cx, cy)
    assert box == (xs[0], ys[0], xs[1], ys[1])
    assert 0 <= x1 <= x2 <= width
    assert 0 <= y1 <= y2 <= height


def mixing(cutmix: float = 0.0, mixup: float = 0.0, alpha: float = 1.0) -> Augmentation:
    return Augmentation(
        cutmix_probability=cutmix,
        cutmix_alpha=alpha,
        mixup_probability=mixup,
        mixup_alpha=alpha,
        drawn_every="batch",
    )


def marked(batch: int, *size: int) -> tuple[Tensor, Tensor]:
    """Each image full of its own number, and labels that are ten times the number."""
    numbers = torch.arange(batch)
    return numbers.double()[:, None, None, None].expand(batch, 3, *size).clone(), 10 * numbers


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(20, 6), (5, 17), (8, 8)]), st.integers(1, 6))
def test_cutmix_gives_one_box_of_all_images_to_their_partners(seed: int, size: tuple[int, int], batch: int) -> None:
    images, labels = marked(batch, *size)
    boxes: list[tuple[int, int, int, int]] = []

    def recorded(width: int, height: int, lam: float, cx: int, cy: int) -> tuple[int, int, int, int]:
        assert (width, height) == size
        assert 0 <= cx < width
        assert 0 <= cy < height
        boxes.append(cutmix_box(width, height, lam, cx, cy))
        return boxes[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_mixing, "cutmix_box", recorded)
        torch.manual_seed(seed)
        mixed = mix(images, labels, draw(mixing(cutmix=1.0)))
    ((x1, y1, x2, y2),) = boxes
    inside = torch.zeros(size, dtype=torch.bool)
    inside[x1:x2, y1:y2] = True
    expected = torch.where(inside, (mixed.partners / 10).double()[:, None, None, None], images)
    assert torch.equal(mixed.images, expected)
    assert mixed.lam == pytest.approx(1 - inside.double().mean().item(), abs=1e-12)
    assert torch.equal(mixed.labels, labels)
    assert sorted(mixed.partners.tolist()) == labels.tolist()
    assert torch.equal(images, marked(batch, *size)[0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_mixup_is_a_weighted_mean_of_a_image_and_its_partner(seed: int) -> None:
    images, labels = marked(5, 2, 3)
    torch.manual_seed(seed)
    mixed = mix(images, labels, draw(mixing(mixup=1.0)))
    assert 0 <= mixed.lam <= 1
    own, partner = images[:, 0, 0, 0], mixed.partners / 10
    expected = mixed.lam * own + (1 - mixed.lam) * partner
    torch.testing.assert_close(mixed.images, expected[:, None, None, None].expand(5, 3, 2, 3))
    assert torch.equal(mixed.labels, labels)
    assert sorted(mixed.partners.tolist()) == labels.tolist()


def kind(mixed: Mixed, images: Tensor) -> str:
    if mixed.lam == 1 and torch.equal(mixed.images, images):
        return "none"
    return "cutmix" if torch.equal(mixed.images, mixed.images.round()) else "mixup"


def test_batches_are_mixed_as_often_as_asked() -> None:
    images, labels = marked(8, 16, 16)
    torch.manual_seed(0)
    drawn = Counter(kind(mix(images, labels, draw(mixing(cutmix=0.5, mixup=0.2))), images) for _ in range(1000))
    assert drawn["mixup"] == pytest.approx(200, abs=50)
    assert drawn["cutmix"] == pytest.approx(500, abs=65)  # those without an area look like none


def test_without_mixing_a_batch_stays_as_it_is_and_no_number_is_drawn() -> None:
    images, labels = marked(4, 3, 3)
    state = torch.get_rng_state()
    mixed = mix(images, labels, draw(mixing()))
    assert torch.equal(mixed.images, images)
    assert torch.equal(mixed.labels, mixed.partners)
    assert mixed.lam == 1
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "alpha"), [("cutmix", 1.0), ("mixup", 1.0), ("mixup", 0.2)])
def test_the_share_is_drawn_from_beta(name: str, alpha: float) -> None:
    torch.manual_seed(0)
    shares = []
    for _ in range(2000):
        drawn = draw(mixing(**{name: 1.0}, alpha=alpha))
        assert drawn.method == name
        shares.append(drawn.lam)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_one_draw_gives_one_box_however_many_batches() -> None:
    images, labels = marked(6, 12, 10)
    torch.manual_seed(3)
    drawn = draw(mixing(cutmix=1.0))
    changed = [(mix(images, labels, drawn).images != images).any(dim=0)[0] for _ in range(20)]
    assert torch.stack(changed).any(dim=0).sum() == round((1 - mix(images, labels, drawn).lam) * 120)


# Splits


@st.composite
def labelled(draw: st.DrawFn) -> Tensor:
    counts = draw(st.lists(st.integers(10, 40), min_size=2, max_size=4))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))]


@settings(max_examples=50, deadline=None)
@given(labelled(), st.floats(0.15, 0.6), st.integers(0, 1000))
def test_splits_are_disjoint_complete_repeatable_and_stratified(labels: Tensor, share: float, seed: int) -> None:
    kept, out = held_out(labels, share, seed)
    assert sorted([*kept.tolist(), *out.tolist()]) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept.tolist())
    assert out.tolist() == sorted(out.tolist())
    assert abs(len(out) - share * len(labels)) <= 1
    for label in labels.unique():
        assert abs((labels[out] == label).sum() - share * (labels == label).sum()) <= 2
    for first, second in zip((kept, out), held_out(labels, share, seed), strict=True):
        assert torch.equal(first, second)


def test_another_seed_holds_out_others_and_no_share_holds_out_none() -> None:
    labels = torch.arange(100) % 4
    assert not torch.equal(held_out(labels, 0.3, 0)[1], held_out(labels, 0.3, 1)[1])
    kept, out = held_out(labels, 0.0, 0)
    assert (kept.tolist(), out.tolist()) == (list(range(100)), [])


def test_a_class_too_small_to_be_in_both_parts_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot hold out 0\.5 of 5 images by class"):
        held_out(torch.tensor([0, 0, 0, 0, 1]), 0.5, 0)


def coloured(count: int) -> Images:
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([60, 120, 255])[None, :, None, None]
    images = (torch.rand(count, 3, 4, 5, generator=generator) * scale).to(torch.uint8)
    return Images(images, torch.arange(count))


def test_mean_and_deviation_are_those_of_each_channel() -> None:
    images = coloured(50)
    assert isinstance(images.source, Tensor)
    pixels = images.source.numpy() / 255
    mean, std = measure(images)
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)).tolist(), abs=1e-6)
    assert std == pytest.approx(pixels.std(axis=(0, 2, 3)).tolist(), abs=1e-6)


def test_grey_images_have_a_deviation_to_divide_by() -> None:
    mean, std = measure(Images(torch.full((2, 3, 4, 4), 51, dtype=torch.uint8), torch.zeros(2)))
    assert mean == [0.2] * 3
    assert min(std) > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50))
def test_a_limit_takes_so_many_images_each_with_its_label(count: int, limit: int) -> None:
    few = coloured(count).limited(limit)
    assert len(few) == min(count, limit)
    labels = [int(label) for label in few.labels]
    assert labels == sorted(set(labels))
    assert all(torch.equal(few[i, 0][0], coloured(count)[label, 0][0]) for i, label in enumerate(labels))
    assert torch.equal(coloured(count).limited(limit).labels, few.labels)


def test_a_limit_is_drawn_over_the_whole_split() -> None:
    labels = Images(torch.zeros(1000, 3, 1, 1), torch.arange(1000)).limited(100).labels
    assert labels.double().mean().item() == pytest.approx(500, abs=100)


# Order and augmentation


def epoch(seed: int = 0, number: int = 0, workers: int = 0, *, shuffle: bool = True) -> list[tuple[Tensor, Tensor]]:
    images = coloured(10)
    images.transform = v2.RandomCrop(4, padding=2)
    with batches(images, 4, shuffle=shuffle, seed=seed, workers=workers, pin_memory=False) as loader:
        begin_epoch(loader, number)
        assert len(loader) == 3
        return list(loader)


def equal(one: list[tuple[Tensor, Tensor]], two: list[tuple[Tensor, Tensor]]) -> bool:
    return all(torch.equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))


def order(drawn: list[tuple[Tensor, Tensor]]) -> list[int]:
    return [int(label) for _, labels in drawn for label in labels]


def test_an_epoch_holds_every_image_once_in_an_order_of_seed_and_epoch() -> None:
    first = epoch()
    assert [len(labels) for _, labels in first] == [4, 4, 2]
    assert sorted(order(first)) == list(range(10)) != order(first)
    assert equal(epoch(), first)
    assert order(epoch(number=1)) != order(first) != order(epoch(seed=1))
    assert order(epoch(seed=1)) != order(epoch(number=1))
    assert order(epoch(shuffle=False)) == list(range(10))


def test_augmentation_differs_between_epochs_and_images() -> None:
    same = Images(coloured(1).source.expand(6, -1, -1, -1), torch.arange(6), v2.RandomCrop(4, padding=4))
    seen = []
    with batches(same, 6, shuffle=False, seed=0, workers=0, pin_memory=False) as loader:
        for number in range(2):
            begin_epoch(loader, number)
            seen += [image for images, _ in loader for image in images]
    assert len({image.numpy().tobytes() for image in seen}) > 6


def test_order_and_augmentation_depend_on_neither_workers_nor_the_global_generator() -> None:
    torch.manual_seed(1)
    alone = epoch(number=3)
    torch.manual_seed(2)
    assert equal(epoch(number=3, workers=2), alone)
    assert not multiprocessing.active_children()


def test_augmenting_an_image_leaves_the_global_generator_alone() -> None:
    images = coloured(2)
    images.transform = v2.RandomCrop(4, padding=2)
    state = torch.get_rng_state()
    images[1, 5]
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_drawn_between_epochs_does_not_depend_on_workers() -> None:
    """CutMix, mix-up and dropout draw from the global generator."""

    def drawn(workers: int) -> list[float]:
        numbers = []
        with batches(coloured(4), 4, shuffle=True, seed=0, workers=workers, pin_memory=False) as loader:
            torch.manual_seed(0)
            for number in range(2):
                begin_epoch(loader, number)
                list(loader)
                numbers.append(torch.rand(()).item())
        return numbers

    assert drawn(1) == drawn(0)


def numbered(height: int, width: int) -> Tensor:
    return torch.arange(1, height * width + 1, dtype=torch.uint8).view(1, height, width).expand(3, -1, -1)


def test_a_padded_crop_is_a_window_of_the_image_with_a_black_border() -> None:
    image = numbered(8, 8)
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
    windows = {padded[:, y : y + 8, x : x + 8].numpy().tobytes() for y in range(5) for x in range(5)}
    crop = training_transform(augmented(crop_padding=2), 8)
    torch.manual_seed(0)
    assert {crop(image).numpy().tobytes() for _ in range(300)} == windows


def test_one_image_in_two_is_flipped_left_to_right() -> None:
    image, flip = numbered(2, 3), training_transform(augmented(flip=True), 3)
    torch.manual_seed(0)
    seen = [flip(image) for _ in range(400)]
    mirrored = sum(torch.equal(other, image.flip(2)) for other in seen)
    assert mirrored == pytest.approx(200, abs=50)
    assert mirrored + sum(torch.equal(other, image) for other in seen) == 400


def test_nothing_is_done_to_a_image_unless_asked() -> None:
    assert torch.equal(training_transform(PLAIN, 8)(numbered(8, 8)), numbered(8, 8))
    assert torch.equal(evaluation_transform(8)(numbered(8, 8)), numbered(8, 8))


@pytest.mark.parametrize("policy", ["none", "cifar10", "imagenet"])
@pytest.mark.parametrize("resized_crop", [True, False])
def test_images_of_any_size_become_bytes_of_the_asked_size(policy: str, resized_crop: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    options = augmented(flip=True, rotation=10.0, resized_crop=resized_crop, auto_augment=policy)
    for transform in (training_transform(options, 12, 16), evaluation_transform(12, 16)):
        image = transform(Image.fromarray(pixels))
        assert (tuple(image.shape), image.dtype) == ((3, 12, 12), torch.uint8)


def test_evaluation_takes_the_centre_of_the_image_resized_by_its_shorter_side() -> None:
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 200  # the middle third is a square
    assert (evaluation_transform(10, 10)(Image.fromarray(pixels)) == 200).all()
    doubled = evaluation_transform(20, 20)(Image.fromarray(pixels))
    assert (doubled[:, :, 2:-2] == 200).all()


# Sources


def rows(*parts: Images | None) -> list[bytes]:
    """Every image with its label, without augmentation, sorted."""
    return sorted(
        part[i, 0][0].numpy().tobytes() + bytes([int(label)])
        for part in parts
        if part is not None
        for i, label in enumerate(part.labels)
    )


def everything(splits: Splits) -> list[Images | None]:
    return [splits.for_evaluation(name) for name in ("train", "validation", "test")]


def digits(**options: object) -> Splits:
    return load_splits(Digits(name="digits", test=0.2, **{**COMMON, **options}))


def test_digits_are_those_of_scikit_learn_split_in_three() -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    splits = digits()
    assert [len(part) for part in everything(splits) if part is not None] == [1077, 360, 360]
    assert splits.classes == [str(digit) for digit in range(10)]
    grey = np.round(source.images * 255 / 16).astype(np.uint8)
    expected = [
        np.stack([image] * 3).tobytes() + bytes([label]) for image, label in zip(grey, source.target, strict=True)
    ]
    assert rows(*everything(splits)) == sorted(expected)
    assert rows(splits.train) == rows(digits().train) != rows(digits(split_seed=1).train)


def test_mean_and_deviation_are_measured_on_the_training_split_alone_unless_given() -> None:
    splits = digits(augment=augmented(crop_padding=3))
    assert isinstance(splits.train.source, Tensor)
    pixels = splits.train.source.numpy() / 255
    assert splits.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)).tolist(), abs=1e-6)
    assert splits.std == pytest.approx(pixels.std(axis=(0, 2, 3)).tolist(), abs=1e-6)
    given = digits(mean=[0.1, 0.2, 0.3])
    assert (given.mean, given.std) == ([0.1, 0.2, 0.3], splits.std)


def test_only_training_images_are_augmented() -> None:
    splits = digits(augment=augmented(crop_padding=3))
    assert splits.validation is not None
    for part, varies in ((splits.train, True), (splits.validation, False), (splits.test, False)):
        assert (len({part[0, seed][0].numpy().tobytes() for seed in range(20)}) > 1) == varies
    assert digits(validation=0.0).validation is None


def test_synthetic_images_are_the_same_for_the_same_seed() -> None:
    def load(seed: int) -> Splits:
        options = {**COMMON, "split_seed": seed}
        return load_splits(Synthetic(name="synthetic", size=5, num_classes=3, images=60, **options))

    splits = load(0)
    assert [len(part) for part in everything(splits) if part is not None] == [36, 12, 12]
    assert splits.test[0, 0][0].shape == (3, 5, 5)
    assert rows(*everything(splits)) == rows(*everything(load(0))) != rows(*everything(load(1)))
    assert Counter(splits.test.labels.tolist()) == {0: 4, 1: 4, 2: 4}


def write_cifar(root: Path, patch: pytest.MonkeyPatch) -> np.ndarray:
    """Sixty images of CIFAR-10, laid out as its authors do: rows of R, then G, then B."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    data = np.random.default_rng(0).integers(0, 256, (60, 3072), dtype=np.uint8)

    def write(name: str, content: dict[str, object]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    labels = [index % 10 for index in range(60)]
    train = write("data_batch_1", {"data": data[:40], "labels": labels[:40]})
    test = write("test_batch", {"data": data[40:], "labels": labels[40:]})
    names = write("batches.meta", {"label_names": list("abcdefghij")})
    patch.setattr(CIFAR10, "train_list", [["data_batch_1", train]])
    patch.setattr(CIFAR10, "test_list", [["test_batch", test]])
    patch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": names})
    return data


def test_cifar_images_keep_their_colours_rows_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_cifar(tmp_path, monkeypatch)
    splits = load_splits(Cifar(name="cifar10", root=str(tmp_path), download=False, **COMMON))
    assert splits.classes == list("abcdefghij")
    assert [len(part) for part in everything(splits) if part is not None] == [30, 10, 20]
    expected = [row.tobytes() + bytes([index % 10]) for index, row in enumerate(data)]
    assert rows(splits.for_evaluation("test")) == sorted(expected[40:])
    assert rows(*everything(splits)[:2]) == sorted(expected[:40])
    assert splits.test[0, 0][0].shape == (3, 32, 32)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_cifar_files_are_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} are missing or damaged; dataset.download=true"):
        load_splits(Cifar(name=name, root=str(tmp_path), download=False, **COMMON))


def folder(root: Path, **options: object) -> Splits:
    values = {"train_folder": "train", "test_folder": "val", "test": 0.2, "size": 12, "resize": 14}
    values |= {"check_images": True, "bad_images": "stop", **COMMON, **options}
    return load_splits(Folder(name="image_folder", root=str(root), **values))


def test_folders_give_classes_by_name_and_every_image_once(jpegs: Path) -> None:
    splits = folder(jpegs)
    assert splits.classes == ["ant", "bee", "cat"]
    found = [path for part in (splits.train, splits.validation) if part is not None for path in part.source]
    assert sorted(map(str, found)) == sorted(map(str, (jpegs / "train").rglob("*.jpg")))
    assert sorted(map(str, splits.test.source)) == sorted(map(str, (jpegs / "val").rglob("*.jpg")))
    for part in everything(splits):
        assert part is not None
        for i, label in enumerate(part.labels):
            image = part[i, 0][0]
            assert image.shape == (3, 12, 12)
            assert Path(str(part.source[i])).parent.name == splits.classes[label]
            assert image.double().mean((1, 2)).argmax() == label  # the colour that marks its class


def test_without_a_test_folder_a_share_of_the_images_is_held_out(jpegs: Path) -> None:
    for root in (jpegs / "train", jpegs):
        splits = folder(root, test_folder="absent")
        parts = [set(map(str, part.source)) for part in everything(splits) if part is not None]
        assert [len(part) for part in parts] == [36, 12, 12]
        assert len(set.union(*parts)) == 60
        assert Counter(splits.test.labels.tolist()) == {0: 4, 1: 4, 2: 4}


def test_a_broken_image_stops_or_is_skipped_as_asked(jpegs: Path) -> None:
    broken = jpegs / "train" / "bee" / "07.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=r"07\.jpg cannot be decoded"):
        folder(jpegs)
    splits = folder(jpegs, bad_images="skip")
    kept = [str(path) for part in everything(splits) if part is not None for path in part.source]
    assert len(kept) == 60 + 15 - 1
    assert str(broken) not in kept


def test_folders_that_do_not_fit_are_refused(jpegs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        folder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no class folders"):
        folder(tmp_path / "empty")
    (jpegs / "val" / "cat").rename(jpegs / "val" / "dog")
    with pytest.raises(InputError, match="only one of them has cat, dog"):
        folder(jpegs)


def test_grey_and_transparent_images_become_three_channels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index, mode in enumerate(("L", "RGBA", "P", "RGB", "1", "L")):
            Image.new(mode, (15, 17)).save(tmp_path / name / f"{index}.png")
    splits = folder(tmp_path, validation=0.0)
    assert all(part[i, 0][0].shape == (3, 12, 12) for part in (splits.train, splits.test) for i in range(len(part)))
