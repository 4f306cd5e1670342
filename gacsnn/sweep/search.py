"""The search space of a sweep: from `hydra.sweeper.params` and the command line to configs, points and samplers."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.utils import instantiate
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from gacsnn.config.merge import flat, identity
from gacsnn.config.messages import first_line, one_line, validate
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.sweep.options import SweepOptions

Compose = Callable[[Sequence[str]], Config]


@dataclass(frozen=True)
class Search:
    """What is searched, and the overrides that all trials share."""

    space: Mapping[str, BaseDistribution]
    fixed: tuple[str, ...]

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The command line of a trial."""
        return [*(f"{name}={value}" for name, value in params.items()), *self.fixed]


def read_search(options: SweepOptions, arguments: Sequence[str]) -> Search:
    """The search of `hydra.sweeper.params` and of the command line, which has the last word.

    Raises:
        InputError: when nothing is searched, or a range is none.
    """
    params = [f"{key}={value}" for key, value in options.params.items()]
    try:
        space, fixed, deletions = create_params_from_overrides([*params, *arguments])
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise InputError(f"hydra.sweeper.params: {error}") from None
    for name in fixed:
        space.pop(name, None)
    if not space:
        raise InputError("hydra.sweeper.params: nothing is searched; give at least one, such as T: choice(2, 4)")
    test = [] if options.test == "all" else ["task.test=false"]
    return Search(space, (*test, *(f"{name}={value}" for name, value in fixed.items()), *deletions))


def composer(loader: ConfigLoader, base: DictConfig) -> Compose:
    """A function from a trial's overrides to its checked config; it raises InputError."""

    def compose(overrides: Sequence[str]) -> Config:
        try:
            composed = loader.load_sweep_config(base, list(overrides))
            values: Any = OmegaConf.to_container(composed, resolve=False)
            del values["hydra"]
            values = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(one_line(str(error))) from None
        return validate(values)

    return compose


# Points of the space


def endpoints(distribution: BaseDistribution) -> list[Any]:
    """All choices of a few, the two ends of a range."""
    if isinstance(distribution, CategoricalDistribution):
        choices = list(distribution.choices)
        return choices if len(choices) <= 12 else [choices[0], choices[-1]]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


def probes(search: Search, compose: Compose) -> list[Config]:
    """The configs at the ends of the search space: a mistake in the sweep shows here, before the first trial."""
    base = {name: endpoints(distribution)[0] for name, distribution in search.space.items()}
    points = [base]
    for name, distribution in search.space.items():
        points += [{**base, name: value} for value in endpoints(distribution)[1:]]
    return [compose(search.overrides(point)) for point in points]


def study_identity(search: Search, probed: Sequence[Config]) -> dict[str, Any]:
    """What makes trials comparable: the search space, and every option that is the same at all its ends."""
    configs = [flat(identity(config)) for config in probed]
    same = {key: value for key, value in configs[0].items() if all(c.get(key) == value for c in configs)}
    searched = {f"search of {name}": str(distribution) for name, distribution in search.space.items()}
    return searched | same


def all_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """Every value of a discrete distribution.

    Raises:
        InputError: for a continuous one.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        raise InputError(f"hydra.sweeper.params: {name} is continuous, and a grid needs choices or steps")
    count = round((distribution.high - distribution.low) / distribution.step) + 1
    return [distribution.low + index * distribution.step for index in range(count)]


def grid_size(space: Mapping[str, BaseDistribution]) -> int:
    return math.prod(len(all_values(name, distribution)) for name, distribution in space.items())


def grid_point(space: Mapping[str, BaseDistribution], index: int) -> dict[str, Any]:
    """The index-th point of the grid, the last option the fastest."""
    point = {}
    for name, distribution in reversed(list(space.items())):
        values = all_values(name, distribution)
        index, place = divmod(index, len(values))
        point[name] = values[place]
    return point


# Samplers and pruners


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
    if options.sampler_name == "TPESampler" and node.get("multivariate") is None:
        node = OmegaConf.merge(node, {"multivariate": len(options.objectives) == 1})
    assert isinstance(node, DictConfig)

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
