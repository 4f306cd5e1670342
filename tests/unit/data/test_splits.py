"""Splits are disjoint, complete, stratified and repeatable; mean and deviation are those of the training split."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import augmented, coloured, digits
from torch import Tensor

from gacsnn.data.images import Images
from gacsnn.data.splits import held_out, measure
from gacsnn.errors import InputError

CLASSES = ["ant", "bee", "c", "d", "e"]


@st.composite
def labelled(draw: st.DrawFn) -> Tensor:
    counts = draw(st.lists(st.integers(10, 40), min_size=2, max_size=4))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))]


@settings(max_examples=50, deadline=None)
@given(labelled(), st.floats(0.15, 0.6), st.integers(0, 1000))
def test_splits_are_disjoint_complete_repeatable_and_stratified(labels: Tensor, share: float, seed: int) -> None:
    kept, out = held_out(labels, share, seed, "dataset.validation", CLASSES)
    assert sorted([*kept.tolist(), *out.tolist()]) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept.tolist())
    assert out.tolist() == sorted(out.tolist())
    assert abs(len(out) - share * len(labels)) <= 1
    for label in labels.unique():
        assert abs((labels[out] == label).sum() - share * (labels == label).sum()) <= 2
    for first, second in zip((kept, out), held_out(labels, share, seed, "dataset.validation", CLASSES), strict=True):
        assert torch.equal(first, second)


def test_another_seed_holds_out_others_and_no_share_holds_out_none() -> None:
    labels = torch.arange(100) % 4
    assert not torch.equal(
        held_out(labels, 0.3, 0, "dataset.validation", CLASSES)[1],
        held_out(labels, 0.3, 1, "dataset.validation", CLASSES)[1],
    )
    kept, out = held_out(labels, 0.0, 0, "dataset.validation", CLASSES)
    assert (kept.tolist(), out.tolist()) == (list(range(100)), [])


def test_a_class_too_small_to_be_in_both_parts_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"dataset\.validation=0\.5: a class needs at least 2 .* fewer: bee \(1\); add images"
    ):
        held_out(torch.tensor([0, 0, 0, 0, 1]), 0.5, 0, "dataset.validation=0.5", CLASSES)
    for fraction, out, kept in ((0.05, 1, 9), (0.95, 10, 0)):
        said = rf"x: {out} of 10 images would be held out and {kept} kept, .* smallest are bee \(2\), ant \(8\); take a fraction"
        with pytest.raises(InputError, match=rf"{said} from 0\.2 to 0\.8, or more images"):
            held_out(torch.tensor([0] * 8 + [1] * 2), fraction, 0, "x", CLASSES)
    with pytest.raises(InputError, match=r"smallest are ant \(2\), bee \(2\), c \(2\), d \(2\), e \(2\), \.\.\.; take"):
        held_out(torch.arange(12) // 2, 0.1, 0, "x", [*CLASSES, "f"])


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
    for name in ("train", "validation", "test"):  # as each is measured
        part = splits.for_evaluation(name)
        assert part is not None
        assert len({part[0, seed][0].numpy().tobytes() for seed in range(20)}) == 1, name
