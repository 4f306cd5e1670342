"""Handwritten digits (UCI; Alpaydin & Kaynak 1998): 1,797 grey images of 8x8 pixels that ship inside scikit-learn."""

import torch

from gacsnn.config.schema import Digits
from gacsnn.data.images import Images
from gacsnn.data.splits import Splits, held_out, split_training
from gacsnn.runtime.datasets import DIGITS_SIDE


def load(options: Digits) -> Splits:
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    digits = load_digits()
    assert isinstance(digits, Bunch)
    grey = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)
    everything = Images(grey[:, None].expand(-1, 3, -1, -1), torch.from_numpy(digits.target).long())
    classes = [str(name) for name in digits.target_names]
    option = f"dataset.test={options.test}"
    kept, test = held_out(everything.labels, options.test, options.split_seed, option, classes)
    return split_training(everything.subset(kept), everything.subset(test), classes, options, DIGITS_SIDE)
