"""From training and test pictures to the three splits, with their transforms and their mean and standard deviation."""

from gacsnn.config import Dataset
from gacsnn.data.augment import evaluation_transform, training_transform
from gacsnn.data.pictures import Pictures, Splits, held_out, measure


def split_training(
    training: Pictures, test: Pictures, classes: list[str], options: Dataset, size: int, resize: int | None = None
) -> Splits:
    """Hold out the validation split, stratified by class; measure mean and std on what is left, where not given."""
    kept, out = held_out(training.labels, options.validation, options.split_seed)
    plain = evaluation_transform(size, resize)
    train = training.subset(kept, training_transform(options.augment, size, resize))
    mean, std = options.mean, options.std
    if mean is None or std is None:
        measured = measure(training.subset(kept, plain))
        mean, std = mean or measured[0], std or measured[1]
    validation = training.subset(out, plain) if len(out) else None
    return Splits(train, validation, Pictures(test.images, test.labels, plain), classes, mean, std)
