"""Samplers and pruners, made of `hydra.sweeper`."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.samplers import BaseSampler

from gacsnn.config.messages import first_line
from gacsnn.errors import InputError
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.points import grid_point
from gacsnn.sweep.search import Search


def make(kind: str, node: DictConfig, **options: Any) -> Any:
    """A sampler or pruner of its config.

    Raises:
        InputError: when its constructor refuses the options.
    """
    known = ("optuna.samplers.*", "optuna.pruners.*", "hydra_plugins.hydra_optuna_sweeper.*")
    try:
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            return instantiate(OmegaConf.merge(node, options), _execution_whitelist_=known)
    except Exception as error:  # whatever a constructor says of its arguments
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"hydra.sweeper.{kind}: {node.get('_target_')} cannot be made: {reason}") from None


def sampler_of(options: SweepOptions, search: Search) -> Callable[[int], BaseSampler]:
    """The sampler of the index-th new trial: the same one, however often the study was stopped before."""

    node = options.sampler

    def sampler(index: int) -> BaseSampler:
        if options.sampler_name == "GridSampler":
            point = grid_point(search.space, index)
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                return optuna.samplers.PartialFixedSampler(point, optuna.samplers.RandomSampler(seed=0))
        seed = node.get("seed")
        if seed is None or options.sampler_name == "QMCSampler":  # that one counts its points in the storage
            return make("sampler", node)
        return make("sampler", node, seed=seed + index)

    return sampler


def rehearse(options: SweepOptions, search: Search) -> None:
    """Draw a few points in memory: some samplers find out late that a package or a bound is missing.

    Raises:
        InputError: when the sampler cannot search this space.
    """
    rehearsal = optuna.create_study(directions=options.directions)
    sampler = sampler_of(options, search)
    for index in range(3):
        rehearsal.sampler = sampler(index)
        try:
            trial = rehearsal.ask(dict(search.space))
        except (ImportError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"hydra/sweeper/sampler: cannot search this space: {first_line(error)}") from None
        rehearsal.tell(trial, [float(index)] * len(options.directions))
