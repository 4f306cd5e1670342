"""The digits of scikit-learn as a data set."""

import numpy as np
from samples import digits, everything, rows


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
