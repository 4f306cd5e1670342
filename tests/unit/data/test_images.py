"""Images of a split: limits, and augmentation that draws from a generator of its own."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from samples import coloured
from torchvision.transforms import v2

from gacsnn.data.images import Images
from gacsnn.data.transforms import Geometric, evaluation_transform


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


def test_augmenting_an_image_leaves_the_global_generator_alone() -> None:
    images = coloured(2)
    images.transform = v2.RandomCrop(4, padding=2)
    state = torch.get_rng_state()
    images[1, 5]
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(0, 12),
    st.booleans(),
    st.sampled_from([0.0, 10.0, 180.0]),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**62 - 1)), max_size=6),
    st.booleans(),
)
def test_a_batch_is_its_images_one_by_one(
    side: int, padding: int, flip: bool, rotation: float, items: list[tuple[int, int]], permuted: bool
) -> None:
    pixels = torch.randint(256, (10, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    source = pixels.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) if permuted else pixels
    images = Images(source, torch.arange(10), Geometric(side, padding, flip, rotation))
    before = torch.random.get_rng_state()
    found, labels = images.batch(items)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (found.shape, found.dtype, found.is_contiguous()) == ((len(items), 3, side, side), torch.uint8, True)
    assert labels.tolist() == [index for index, _ in items]
    for image, item in zip(found, items, strict=True):
        apart = (image.int() - images[item][0].int()).abs().max()
        assert apart <= (1 if rotation else 0)  # a half may be rounded up or down


def test_a_batch_of_files_and_one_of_none_have_the_shape_of_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (20, 30), (9, 8, 7)).save(tmp_path / "a.png")
    images = Images([str(tmp_path / "a.png")], torch.tensor([5]), evaluation_transform(12, 16))
    assert [x.shape for x in images.batch([(0, 1), (0, 2)])] == [(2, 3, 12, 12), (2,)]
    assert [(x.shape, x.dtype) for x in images.batch([])] == [((0, 3, 12, 12), torch.uint8), ((0,), torch.int64)]
