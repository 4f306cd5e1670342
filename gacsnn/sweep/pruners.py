"""The pruners of `hydra/sweeper/pruner`: their options, and the values for a run of a given number of epochs.

`benchmarks/pruners.py` prints how often each of them keeps the trial that would have won.
"""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from gacsnn.errors import InputError

# The share of a run's epochs before which no trial is stopped, if the user gives no number of epochs.
WARMUP = 1 / 3


@dataclass
class Pruner:
    _target_: str = MISSING


@dataclass
class NopPruner(Pruner):
    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class MedianPruner(Pruner):
    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 8
    n_warmup_steps: Any = None
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class SuccessiveHalvingPruner(Pruner):
    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: Any = None
    reduction_factor: int = 2
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0


@dataclass
class HyperbandPruner(Pruner):
    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: Any = None
    max_resource: Any = None
    reduction_factor: int = 3
    bootstrap_count: int = 0


@dataclass
class WilcoxonPruner(Pruner):
    """For trials that are means over seeds (`repeats`): compares them with the best one, seed by seed."""

    _target_: str = "optuna.pruners.WilcoxonPruner"
    p_threshold: float = 0.1
    n_startup_steps: int = 2


PRUNERS = {
    "none": NopPruner,
    "median": MedianPruner,
    "halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
    "wilcoxon": WilcoxonPruner,
}


def for_epochs(node: DictConfig, epochs: int) -> DictConfig:
    """Return a pruner's options for runs of `epochs` epochs, with a number in place of each null.

    Raises:
        InputError: if the first decision would come after the last epoch.
    """
    warmup = round(WARMUP * epochs)
    numbers = {"n_warmup_steps": warmup, "min_resource": max(1, warmup), "max_resource": epochs}
    for name in ("n_warmup_steps", "min_resource"):
        if isinstance(value := node.get(name), int) and value >= epochs > 1:
            raise InputError(
                f"hydra.sweeper.pruner.{name}={value}: would stop no trial of {epochs} epochs; take at most {epochs - 1}"
            )
    return OmegaConf.create(
        {str(name): numbers.get(str(name)) if value is None else value for name, value in node.items()}
    )
