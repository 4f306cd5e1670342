"""The config of a job, before it runs: a mistake in any of a sweep's jobs is said before the first."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gacsnn.config.messages import validate
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.sweep.mistakes import one_line

Compose = Callable[[Sequence[str]], Config]


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
