"""CutMix and mix-up against their formulae and counts."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gacsnn.config.schema import Augmentation
from gacsnn.data import mixing as data_mixing
from gacsnn.data.mixing import Draw, Mixed, cutmix_box, draw, mix, partners


def mixed_batch(images: Tensor, labels: Tensor, drawn: Draw) -> Mixed:
    partner = partners(len(images), drawn)
    others = slice(None) if partner is None else partner
    return mix(images, labels, images[others], labels[others], drawn)


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
        mixed = mixed_batch(images, labels, draw(mixing(cutmix=1.0)))
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
    mixed = mixed_batch(images, labels, draw(mixing(mixup=1.0)))
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
    drawn = Counter(kind(mixed_batch(images, labels, draw(mixing(cutmix=0.5, mixup=0.2))), images) for _ in range(1000))
    assert drawn["mixup"] == pytest.approx(200, abs=50)
    assert drawn["cutmix"] == pytest.approx(500, abs=65)  # those without an area look like none


def test_without_mixing_a_batch_stays_as_it_is_and_no_number_is_drawn() -> None:
    images, labels = marked(4, 3, 3)
    state = torch.get_rng_state()
    mixed = mixed_batch(images, labels, draw(mixing()))
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
    changed = [(mixed_batch(images, labels, drawn).images != images).any(dim=0)[0] for _ in range(20)]
    assert torch.stack(changed).any(dim=0).sum() == round((1 - mixed_batch(images, labels, drawn).lam) * 120)
