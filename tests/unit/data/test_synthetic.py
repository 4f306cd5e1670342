"""The synthetic data set."""

from collections import Counter

from samples import COMMON, everything, rows

from gacsnn.config.schema import Synthetic
from gacsnn.data import load_splits
from gacsnn.data.splits import Splits


def test_synthetic_images_are_the_same_for_the_same_seed() -> None:
    def load(seed: int) -> Splits:
        options = {**COMMON, "split_seed": seed}
        return load_splits(Synthetic(name="synthetic", size=5, num_classes=3, images=60, **options))

    splits = load(0)
    assert [len(part) for part in everything(splits) if part is not None] == [36, 12, 12]
    assert splits.test[0, 0][0].shape == (3, 5, 5)
    assert rows(*everything(splits)) == rows(*everything(load(0))) != rows(*everything(load(1)))
    assert Counter(splits.test.labels.tolist()) == {0: 4, 1: 4, 2: 4}
