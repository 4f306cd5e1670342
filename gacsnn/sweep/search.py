"""The search space of a sweep: from `hydra.sweeper.params` and the command line to configs and points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from optuna.distributions import BaseDistribution, CategoricalDistribution

from gacsnn.config.merge import MISSING, flat, identity, nested
from gacsnn.config.messages import validate
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.sweep.compose import Compose, merge_overrides
from gacsnn.sweep.confirmed import CANDIDATE
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.points import SEARCH_OF, endpoints
from gacsnn.sweep.trial import check_job


@dataclass(frozen=True)
class Search:
    """What is searched, and the overrides that all trials share. `CANDIDATE` stands for the options of a point."""

    space: Mapping[str, BaseDistribution]
    fixed: tuple[str, ...]
    points: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The command line of a trial."""
        point = self.points[params[CANDIDATE]] if CANDIDATE in params else {}
        named = {**point, **{name: value for name, value in params.items() if name != CANDIDATE}}
        return [*(f"{name}={value}" for name, value in named.items()), *self.fixed]


def read_search(options: SweepOptions, arguments: Sequence[str]) -> Search:
    """The search of `hydra.sweeper.params` and of the command line, which has the last word.

    Raises:
        InputError: when nothing is searched, or a range is none.
    """
    try:
        space, fixed, deletions = create_params_from_overrides(merge_overrides(options.params, arguments))
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise InputError(f"hydra.sweeper.params: {error}") from None
    if not space:
        raise InputError("hydra.sweeper.params: nothing is searched; give at least one, such as T: choice(2, 4)")
    test = [] if options.test == "all" else ["task.test=false"]
    if options.rungs is not None:
        last = options.rungs.epochs[-1]
        if "epochs" in space or str(fixed.setdefault("epochs", last)) != str(last):
            raise InputError(f"hydra.sweeper.rungs: a whole run is of the last rung's {last} epochs; leave out epochs")
    return Search(space, (*test, *(f"{name}={value}" for name, value in fixed.items()), *deletions))


def probes(search: Search, compose: Compose) -> list[Config]:
    """The configs at the ends of the search space: a mistake in the sweep shows here, before the first trial."""
    base = {name: endpoints(distribution)[0] for name, distribution in search.space.items()}
    points = [base]
    for name, distribution in search.space.items():
        points += [{**base, name: value} for value in endpoints(distribution)[1:]]
    configs = [compose(search.overrides(point)) for point in points]
    check_choices(search, base, configs[0], compose)
    for config in configs:
        check_job(config)
        for name, given, instead in (
            ("output_dir", config.output_dir, "hydra.sweep.dir=FOLDER is that of the study"),
            ("resume", None if config.resume == "auto" else config.resume, "the same command goes on with a study"),
        ):
            if given is not None:
                raise InputError(f"{name}={given}: a trial of a search has a folder of its own; {instead}")
        if config.rerun is not None:
            raise InputError(
                f"rerun={config.rerun}: the trials of a search are not reruns; without a search, -m rerun={config.rerun} "
                "seed=1,2,3 repeats a run"
            )
    return configs


def check_choices(search: Search, base: Mapping[str, Any], composed: Config, compose: Compose) -> None:
    """Raises InputError for a wrong one among so many choices that they are no probes: composing each takes a while."""
    options = flat(to_dict(composed))
    for name, distribution in search.space.items():
        if not isinstance(distribution, CategoricalDistribution):
            continue
        for choice in distribution.choices:
            if choice not in endpoints(distribution) and not (name in options and is_valid({**options, name: choice})):
                compose(search.overrides({**base, name: choice}))


def is_valid(options: Mapping[str, Any]) -> bool:
    """Of options that are flat; where one follows another, as Hydra composes them, it may be no after all."""
    try:
        validate(nested(options))
    except InputError:
        return False
    return True


def study_identity(search: Search, probed: Sequence[Config]) -> dict[str, Any]:
    """What makes trials comparable: the search space, and every option that is the same at all its ends."""
    configs = [flat(identity(config)) for config in probed]
    same = {key: value for key, value in configs[0].items() if all(c.get(key, MISSING) == value for c in configs)}
    searched = {f"{SEARCH_OF}{name}": str(distribution) for name, distribution in search.space.items()}
    return searched | same
