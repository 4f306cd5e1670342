"""The config of a job, before it runs: a mistake in any of a sweep's jobs is said before the first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gacsnn.config.messages import validate
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.sweep.mistakes import one_line

Compose = Callable[[Sequence[str]], Config]


def merge_overrides(params: Mapping[str, Any], arguments: Sequence[str]) -> list[str]:
    """Return one override for each option of `hydra.sweeper.params` and of the command line, which wins.

    An option is the same one with any prefix (`T`, `+T`, `++T`, `~T`). It keeps its first position, because that decides the
    order of a grid's points. `++T` becomes `T`: YAML names every option, so nothing has to be added by force.

    Raises:
        HydraException: for a parameter that is no override.
    """
    given = [*(f"{name}={value}" for name, value in flat_params(params)), *arguments]
    parsed = OverridesParser.create().parse_overrides(given)
    lines = {(each.key_or_group, each.package): each.input_line or "" for each in parsed}
    return [line.removeprefix("++") for line in lines.values()]


def flat_params(params: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name and text of each parameter; `hydra.sweeper.params.optimizer.lr=1` nests one in `optimizer`."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from flat_params(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", "null" if value is None else value


def composer(loader: ConfigLoader, base: DictConfig) -> Compose:
    """A function from a job's overrides to its checked config; it raises InputError. What was composed lately is kept."""

    @lru_cache(maxsize=64)
    def composed(overrides: tuple[str, ...]) -> Config:
        try:
            return checked_values(loader.load_sweep_config(base, list(overrides)))
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(one_line(error)) from None

    return lambda overrides: composed(tuple(overrides))


def checked_values(composed: DictConfig) -> Config:
    """The checked config of what Hydra composed.

    Raises:
        InputError: for a wrong value.
        OmegaConfBaseException: for an interpolation of what is not there.
    """
    return validate(plain_values(composed))


def plain_values(composed: DictConfig) -> dict[str, Any]:
    """What Hydra composed, without its own options, which may name what only a job has.

    Raises:
        OmegaConfBaseException: for an interpolation of what is not there.
    """
    values: Any = OmegaConf.to_container(composed, resolve=False)
    values.pop("hydra", None)
    return OmegaConf.to_container(OmegaConf.create(values), resolve=True)  # type: ignore[return-value]
