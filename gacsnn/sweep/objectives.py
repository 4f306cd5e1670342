"""What a search may look for and a claim may be about, and in which direction."""

from typing import Literal

DirectionName = Literal["maximize", "minimize"]

# Numbers of `result.json` that need no test split.
OBJECTIVES = (
    *("validation_top1", "energy_mj", "energy_full_mj", "firing_rate", "sops", "macs", "params"),
    *("train_seconds", "images_per_second"),
)

# Those that are read from the test split.
TESTED = ("top1", "top5", "loss")

HIGHER_IS_BETTER = ("validation_top1", "images_per_second", "top1", "top5")
