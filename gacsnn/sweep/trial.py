"""A job's side of a sweep: which trial it is, whom it tells of its epochs, what it returns."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.sweep.about import CONFIRMS

# What a run of a sweep is checked with, besides its own ranges: its config, and the options that were set; raises InputError.
Check = Callable[[Config, Collection[str]], object]

AUTO = "auto"  # of `resume`

TRIAL = "GACSNN_TRIAL"  # environment of a job: the number of its trial


def trial_number(hydra: Any) -> int | None:
    """The number of the trial that this job is, if its sweep made it one; what the environment says beside that is not ours."""
    number = hydra.job.env_set.get(TRIAL)
    return None if number is None else int(number)


def name_of(folder: Path, number: int) -> str:
    """A trial in the lines of a sweep; one that confirms others says so, because those have numbers, too."""
    return f"{folder.name}/{number}" if folder.name.startswith(CONFIRMS) else f"trial {number}"


def check_job(config: Config) -> None:
    """Raises InputError for what has a meaning in a run of its own, and none in one of many."""
    if config.max_minutes is not None:
        raise InputError(
            "max_minutes: ends a run that is to go on later, which a run of a sweep is not; give epochs or max_steps"
        )


def as_job(config: Config, folder: Path | str, goes_on: bool = False) -> Config:
    """A run as one of a sweep in this folder, whose own is there only when it begins; `goes_on`: this is its own, perhaps with
    a run that resume=auto goes on with."""
    if config.output_dir is not None or config.resume not in (None, AUTO):
        return config
    return config.model_copy(update={"output_dir": str(folder)} | ({} if goes_on else {"resume": None}))


def check_plan(hydra: Any, config: Config) -> None:
    """Raises InputError for a plan of a search of the plain plugin, which takes what a job returns for a value."""
    if config.plan and "OptunaSweeper" in str(hydra.sweeper.get("_target_")):
        raise InputError(
            "plan=true: hydra/sweeper=optuna cannot be planned; hydra/sweeper=study can, with the same params"
        )


def reporter_of_job(hydra: Any, number: int, epochs: int) -> Callable[[Mapping[str, Any]], None]:
    """What the run of a trial calls after each epoch. Found through the job's own config, on whatever machine."""
    from gacsnn.sweep.reporter import open_reporter  # brings optuna, which only a trial wants

    return open_reporter(hydra, number, epochs)


def objective(hydra: Any, result: Mapping[str, Any]) -> Any:
    """What a job returns to its sweeper, of its result: the objectives asked for, or top-1."""
    names = list(hydra.sweeper.get("objectives") or [])
    if not names:  # one run, a plain grid, or plain hydra-optuna-sweeper
        return result.get("validation_top1") if "selected_by" in result else result.get("top1")
    return result[names[0]] if len(names) == 1 else [result[name] for name in names]
