"""Random images, each class with a faint pattern of its own: for benchmarks and smoke tests, never for a table."""

import torch

from gacsnn.config.schema import Synthetic
from gacsnn.data.images import Images
from gacsnn.data.splits import Splits, held_out, split_training


def load(options: Synthetic) -> Splits:
    """The same images for the same `split_seed`; every fifth is a test image."""
    generator = torch.Generator().manual_seed(options.split_seed)
    labels = torch.arange(options.images) % options.num_classes
    shape = (3, options.size, options.size)
    patterns = torch.randint(256, (options.num_classes, *shape), generator=generator)
    noise = torch.randint(256, (options.images, *shape), generator=generator)
    everything = Images((0.3 * patterns[labels] + 0.7 * noise).to(torch.uint8), labels)
    classes = [f"class{index}" for index in range(options.num_classes)]
    kept, test = held_out(labels, 0.2, options.split_seed, f"dataset.images={options.images}", classes)
    return split_training(everything.subset(kept), everything.subset(test), classes, options, options.size)
