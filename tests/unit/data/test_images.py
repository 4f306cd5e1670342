"""Images of a split: limits, and augmentation that draws from a generator of its own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import coloured
from torchvision.transforms import v2

from gacsnn.data.images import Images


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
