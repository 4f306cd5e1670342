"""Order and augmentation depend on seed and epoch alone; pixels are normalised by their formula."""

import multiprocessing

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import coloured
from torch import Tensor
from torchvision.transforms import v2

from gacsnn.data.images import Images
from gacsnn.data.loader import batches, begin_epoch
from gacsnn.data.normalise import Normalise
from gacsnn.runtime.device import Machine


def epoch(
    seed: int = 0, number: int = 0, workers: int = 0, *, shuffle: bool = True
) -> list[tuple[Tensor, Tensor, Tensor]]:
    images = coloured(10)
    images.transform = v2.RandomCrop(4, padding=2)
    with batches(images, 4, shuffle=shuffle, seed=seed, workers=workers, pin_memory=False) as loader:
        begin_epoch(loader, number)
        assert len(loader) == 3
        return list(loader)


def equal(one: list[tuple[Tensor, Tensor, Tensor]], two: list[tuple[Tensor, Tensor, Tensor]]) -> bool:
    return all(torch.equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))


def order(drawn: list[tuple[Tensor, Tensor, Tensor]]) -> list[int]:
    return [int(label) for _, labels, _ in drawn for label in labels]


def test_an_epoch_holds_every_image_once_in_an_order_of_seed_and_epoch() -> None:
    first = epoch()
    assert [len(labels) for _, labels, _ in first] == [4, 4, 2]
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
            seen += [image for images, _, _ in loader for image in images]
    assert len({image.numpy().tobytes() for image in seen}) > 6


def test_order_and_augmentation_depend_on_neither_workers_nor_the_global_generator() -> None:
    torch.manual_seed(1)
    alone = epoch(number=3)
    torch.manual_seed(2)
    assert equal(epoch(number=3, workers=2), alone)
    assert not multiprocessing.active_children()


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


shares = st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3)


@settings(max_examples=50, deadline=None)
@given(shares, shares, st.integers(0, 999), st.booleans())
def test_pixels_are_divided_by_255_less_the_mean_over_the_deviation(
    mean: list[float], std: list[float], seed: int, channels_last: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 4, 5), dtype=np.uint8)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    normalised = Normalise(mean, std, Machine(torch.device("cpu"), "fp32", layout, None))(torch.from_numpy(pixels))
    assert normalised.dtype == torch.float32
    assert normalised.is_contiguous(memory_format=layout)
    per_channel = [(pixels[:, c] / 255.0 - mean[c]) / std[c] for c in range(3)]
    np.testing.assert_allclose(normalised.numpy(), np.stack(per_channel, axis=1), atol=1e-5)
