"""Crops, flips, policies and sizes, image by image."""

import numpy as np
import pytest
import torch
from PIL import Image
from samples import PLAIN, augmented
from torch import Tensor

from gacsnn.data.transforms import evaluation_transform, training_transform


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
