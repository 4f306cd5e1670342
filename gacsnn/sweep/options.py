"""The options of `hydra.sweeper`, and their checks before the first trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_optuna_sweeper.config import Direction, OptunaSweeperConf, TPESamplerConfig
from omegaconf import MISSING, DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from gacsnn.config.schema import LARGEST, Count, NotNegative, Positive, Processors
from gacsnn.errors import InputError, nearest
from gacsnn.sweep.about import absolute_storage
from gacsnn.sweep.objectives import OBJECTIVES, DirectionName
from gacsnn.sweep.pruners import NopPruner, Pruner, WilcoxonPruner
from gacsnn.sweep.rungs import Rungs


@dataclass
class TPE(TPESamplerConfig):
    """TPE that looks at the parameters together, and keeps away from what other workers are trying.

    The plugin's own looks at each alone, so that workers ask for the same point; `benchmarks/sampler.py` compares them.
    """

    multivariate: bool = True  # `group` stays false: it is for spaces that depend on what is drawn, and a study has one
    constant_liar: bool = True


SAMPLERS = {"tpe": TPE}


@dataclass
class StudyConf(OptunaSweeperConf):
    """The options of hydra-optuna-sweeper, and ours."""

    _target_: str = "gacsnn.sweep.plugin.StudySweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    # Switches are Any, and true or false by our own check: OmegaConf takes any number for one.
    pruner: Pruner = MISSING
    direction: Any = Direction.maximize
    study_name: Any = None  # OmegaConf would take the number that YAML reads of 2026_12_01 for a name
    objectives: list[str] = field(default_factory=lambda: ["validation_top1"])  # keys of result.json, one a direction
    n_jobs: int = 1
    max_failure_rate: float = 0.5  # of n_trials; the sweep stops beyond
    max_retries: int = 10  # how often a trial whose process was killed is taken up again
    lease_seconds: float = 60.0  # how long another machine may be silent before its trial is taken up
    storage_patience_seconds: float = 300.0  # how long a storage that is away, or a full disk, is waited for
    budget_hours: float | None = None  # of trials, added up over workers; one that would take more is not started
    budget_gpu_hours: float | None = None  # the same, times the GPUs of a trial
    test: str = "best"  # whose test split is read: best, all or none
    retry: str = "none"  # failed: line the trials that failed up again, once when the command starts
    verbose: Any = True  # whether trials say a line an epoch
    claim: Any = None  # what the sweep is to find out (question.py): {better, than, by, on}, or a list of such
    confirm: Any = (
        None  # {top, seeds}: after the search the best so many run again with so many fresh seeds (confirm.py)
    )
    repeats: int = 1  # seeds of a trial, whose mean is its value (repeats.py)
    rungs: list[int] = field(
        default_factory=list
    )  # epochs after which trials pause; the best of each rung go on (rungs.py)
    reduction_factor: int = 3  # of the trials at a rung one in so many goes on
    trials_from: list[str] = field(
        default_factory=list
    )  # folders of other studies, of which equal trials are taken over
    reuse: Any = True  # take the result of the same config from this study instead of running it again


# Seeds of a trial or of a confirmation, and trials that are confirmed: more is a slip of the finger.
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Confirm:
    """How many of the best trials of a search run again, and with how many fresh seeds each."""

    top: int
    seeds: int


@dataclass(frozen=True)
class SweepOptions:
    """`hydra.sweeper`, checked."""

    n_trials: int
    n_jobs: int
    repeats: int
    params: Mapping[str, str]
    sampler: DictConfig
    pruner: DictConfig
    storage: str | None
    study_name: str | None
    objectives: list[str]
    directions: list[DirectionName]
    max_failure_rate: float
    max_retries: int
    lease_seconds: float
    storage_patience_seconds: float
    test: str
    retry: str
    verbose: bool
    reuse: bool
    budget_hours: float | None
    budget_gpu_hours: float | None
    rungs: Rungs | None
    trials_from: Sequence[str]
    claim: Any
    confirm: Confirm | None
    confirms: str | None = None  # the study whose best trials these are, run again

    @property
    def sampler_name(self) -> str:
        """The class of the sampler, such as `TPESampler`."""
        return str(self.sampler.get("_target_", "")).rpartition(".")[2]


def read_options(given: Mapping[str, Any]) -> SweepOptions:
    """The options as Hydra passes them.

    Raises:
        InputError: for a wrong one.
    """
    check_numbers(given)
    check_place(given)
    if given["test"] not in ("best", "all", "none"):
        raise InputError(f"hydra.sweeper.test={given['test']}: choose one of best, all, none")
    if given["retry"] not in ("none", "failed"):
        raise InputError(f"hydra.sweeper.retry={given['retry']}: choose one of none, failed")
    objectives, directions = list(given["objectives"]), read_directions(given["direction"])
    for name in objectives:
        if name not in OBJECTIVES:
            known = f"{nearest(name, OBJECTIVES)}; choose of {', '.join(OBJECTIVES)}"
            raise InputError(f"hydra.sweeper.objectives={name}: no such objective{known}")
    if not objectives:
        raise InputError(f"hydra.sweeper.objectives=[]: give one at least; choose of {', '.join(OBJECTIVES)}")
    if len(objectives) != len(directions):
        raise InputError(
            f"hydra.sweeper.direction={directions} and hydra.sweeper.objectives={objectives}: give one direction an "
            "objective"
        )
    if len(objectives) > 1 and given["pruner"].get("_target_") != NopPruner._target_:
        raise InputError("hydra/sweeper/pruner: trials with several objectives cannot be pruned; use pruner=none")
    check_repeats(given)
    check_trials_from(given)
    same = ("n_trials", "n_jobs", "sampler", "pruner", "study_name", "test", "retry", "verbose", "reuse")
    numbers = (
        *("max_failure_rate", "max_retries", "lease_seconds", "storage_patience_seconds"),
        *("budget_hours", "budget_gpu_hours", "repeats"),
    )
    return SweepOptions(
        **{name: given[name] for name in (*same, *numbers)},
        params=dict(given["params"] or {}),
        storage=absolute_storage(given["storage"]),
        rungs=read_rungs(given, objectives),
        trials_from=list(given["trials_from"] or []),
        claim=plain(given["claim"]),
        confirm=read_confirm(plain(given["confirm"]), objectives, given["test"]),
        objectives=objectives,
        directions=directions,
    )


class Numbers(BaseModel):
    """What the numbers of `hydra.sweeper` may be."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    n_trials: Count
    n_jobs: Processors
    repeats: int = Field(ge=1, le=MOST_SEEDS)
    reduction_factor: int = Field(ge=2)
    max_failure_rate: float = Field(ge=0, le=1)
    max_retries: int = Field(ge=0)
    lease_seconds: float = Field(ge=1, le=LARGEST)  # in less nobody renews one in time
    storage_patience_seconds: NotNegative
    budget_hours: Positive | None
    budget_gpu_hours: Positive | None
    verbose: StrictBool
    reuse: StrictBool


def check_numbers(given: Mapping[str, Any]) -> None:
    try:
        Numbers.model_validate(dict(given))
    except ValidationError as error:
        wrong = [(details["loc"][0], details["msg"].removeprefix("Input ")) for details in error.errors()]
        raise InputError("; ".join(f"hydra.sweeper.{name}={given[str(name)]}: {why}" for name, why in wrong)) from None


def check_place(given: Mapping[str, Any]) -> None:
    """Raises InputError for a name that is none of a folder, and a storage that is none."""
    name, storage = given["study_name"], given["storage"]
    if not isinstance(name, str | None):
        raise InputError(f"hydra.sweeper.study_name={name}: should be text; put the value in quotes")
    if not isinstance(storage, str | None):
        raise InputError(f"hydra.sweeper.storage={storage}: should be a database's URL, or journal:FILE")
    if name is not None and (not name.strip() or {"", ".", ".."} & set(name.split("/"))):
        raise InputError(
            f"hydra.sweeper.study_name={name}: should be a name, such as first; hydra.sweep.dir=FOLDER says where it lies"
        )
    if storage is not None and storage.removeprefix("journal:").removeprefix("sqlite:").strip("/ ") in ("", ":memory:"):
        raise InputError(
            f"hydra.sweeper.storage={storage}: should be a database that is kept, as its URL, or journal:FILE; left out, it is "
            "study.db beside the runs"
        )


def check_repeats(given: Mapping[str, Any]) -> None:
    pruner, several = given["pruner"].get("_target_"), given["repeats"] > 1
    if several and given["rungs"]:
        raise InputError("hydra.sweeper.repeats: a trial of several runs has no rungs; take one of the two")
    if several and pruner not in (NopPruner._target_, WilcoxonPruner._target_):
        raise InputError(
            "hydra.sweeper.repeats: prunes between seeds, with hydra/sweeper/pruner=wilcoxon, or not at all"
        )
    if not several and pruner == WilcoxonPruner._target_:
        raise InputError("hydra/sweeper/pruner=wilcoxon: compares trials seed by seed; give hydra.sweeper.repeats")


def check_trials_from(given: Mapping[str, Any]) -> None:
    if given["trials_from"] and given["claim"] is not None:
        raise InputError(
            "hydra.sweeper.claim: stands before the trials that answer it, and those of trials_from were there; leave one of "
            "the two out"
        )
    if given["trials_from"] and given["repeats"] > 1:
        raise InputError(
            "hydra.sweeper.trials_from: takes single runs over, and with repeats a trial is a mean over seeds"
        )


def read_confirm(given: Any, objectives: list[str], test: str) -> Confirm | None:
    if given is None:
        return None
    whole = isinstance(given, Mapping) and set(given) == {"top", "seeds"}
    if not whole or any(type(given[name]) is not int or not 1 <= given[name] <= MOST_SEEDS for name in given):
        raise InputError(
            f"hydra.sweeper.confirm={given}: should be {{top: 3, seeds: 5}}, numbers from 1 to {MOST_SEEDS:,}"
        )
    if len(objectives) > 1:
        raise InputError("hydra.sweeper.confirm: of several objectives there is no best one; search for one")
    if test == "all":
        raise InputError(
            "hydra.sweeper.confirm: keeps the test split for the winner; hydra.sweeper.test=all reads it for all"
        )
    return Confirm(**given)


def read_rungs(given: Mapping[str, Any], objectives: list[str]) -> Rungs | None:
    rungs, factor = list(given["rungs"] or []), given["reduction_factor"]
    if not rungs:
        return None
    if len(rungs) < 2 or rungs != sorted({*rungs}) or rungs[0] < 1:
        raise InputError(f"hydra.sweeper.rungs={rungs}: should be epochs that grow, two or more, such as [3, 9, 18]")
    if len(objectives) > 1:
        raise InputError("hydra.sweeper.rungs: several objectives cannot be compared before the end; search for one")
    if objectives[0] != "validation_top1":
        raise InputError(
            f"hydra.sweeper.rungs: {objectives[0]} is not known after each epoch; search for validation_top1"
        )
    if given["pruner"].get("_target_") != NopPruner._target_:
        raise InputError("hydra.sweeper.rungs: stop trials early themselves; use hydra/sweeper/pruner=none")
    return Rungs(rungs, factor)


def plain(given: Any) -> Any:
    return OmegaConf.to_container(given, resolve=True) if OmegaConf.is_config(given) else given


def read_directions(given: Any) -> list[DirectionName]:
    given = ["null"] if given is None else [given] if isinstance(given, str | Direction) else list(given)
    directions: list[DirectionName] = []
    for each in given:
        direction = each.name if isinstance(each, Direction) else str(each)
        if direction not in ("maximize", "minimize"):
            raise InputError(f"hydra.sweeper.direction={direction}: choose one of maximize, minimize")
        directions.append(direction)
    return directions
