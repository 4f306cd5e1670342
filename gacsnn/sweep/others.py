"""`hydra.sweeper.trials_from`: complete trials of other studies that this one would run the same are taken over.

They are the same when the config of their run is, as its hash says: all options, those that are searched here among them. They
count for nothing that is asked for, but the sampler and the pruner know them, and their configs are not run again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from gacsnn.config.merge import NAMED, config_hash, differences, flat, identity
from gacsnn.config.saved import to_dict
from gacsnn.errors import InputError
from gacsnn.runtime.console import log
from gacsnn.runtime.files import check_name
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import TAKEN_FROM, effective_trials
from gacsnn.sweep.loop import Sweep
from gacsnn.sweep.storage import load_study, run_of

# Reasons for refusal that are said, the most frequent first.
MOST = 5


class RefusedError(Exception):
    """Why a trial is not taken over."""


def check_others(folders: Sequence[str], here: Path) -> None:
    """Raises InputError when there is no study in one of these folders, it is the sweep's own, or its trials are several runs."""
    for folder in map(Path, folders):
        check_name("hydra.sweeper.trials_from", folder)
        if folder.resolve() == here.resolve():
            raise InputError(f"hydra.sweeper.trials_from={folder}: this is the folder of the sweep itself")
        try:
            study, _ = load_study(folder)
        except InputError as error:
            raise InputError(f"hydra.sweeper.trials_from: {error}") from None
        if (repeats := study.user_attrs.get("identity", {}).get("repeats", 1)) > 1:
            raise InputError(
                f"hydra.sweeper.trials_from={folder}: its trials are means over {repeats} seeds, and here a trial is one run"
            )


def take_from_others(sweep: Sweep) -> None:
    """Take over what can be, once from each folder, and say what was and what was not."""
    for folder in map(Path, sweep.options.trials_from):
        with FileLock(sweep.folder / ".trials_from.lock"):
            take(sweep, folder, *load_study(folder))


@uninterrupted()
def take(sweep: Sweep, folder: Path, there: optuna.Study, objectives: list[str]) -> None:
    known = {trial.user_attrs.get(TAKEN_FROM) for trial in sweep.study.get_trials(deepcopy=False)}
    taken, reasons = 0, Counter[str]()
    trials = [trial for trial in effective_trials(there) if trial.state == TrialState.COMPLETE]
    for trial in trials:
        name = str((folder / str(trial.number)).resolve())
        if name in known or "reused" in trial.user_attrs:
            continue
        try:
            sweep.study.add_trial(as_ours(sweep, trial, folder, objectives, name))
            taken += 1
        except RefusedError as refused:
            reasons[str(refused)] += 1
    if taken or reasons:
        log.info(f"study {sweep.name}: {taken} of {len(trials)} complete trials taken from {folder}")
    for reason, count in reasons.most_common(MOST):
        log.info(f"not taken: {count}: {reason}")
    if len(reasons) > MOST:
        log.info(f"not taken: {sum(reasons.values()) - sum(c for _, c in reasons.most_common(MOST))} for other reasons")


def as_ours(sweep: Sweep, trial: FrozenTrial, folder: Path, objectives: list[str], name: str) -> FrozenTrial:
    """A trial as one of this study.

    Raises:
        RefusedError: when it would not be run the same.
    """
    run = run_of(trial, folder)
    try:
        saved, result = RunDirectory(run).read_config(), RunDirectory(run).read_result() or {}
    except InputError as error:
        raise RefusedError(str(error)) from None
    settings = {**flat(to_dict(saved)), **{group: getattr(saved, group).name for group in NAMED}, **trial.params}
    params = {option: ours(option, settings, space) for option, space in sweep.search.space.items()}
    try:
        config = sweep.compose(sweep.search.overrides(params))
    except InputError as error:
        raise RefusedError(str(error)) from None
    if config_hash(config) != trial.user_attrs.get("config_hash"):
        differ = differences(flat(identity(saved)), flat(identity(config)), most=3)
        raise RefusedError(f"of other options: {differ or 'made by another version'}")
    values = {**result, **dict(zip(objectives, trial.values, strict=True))}
    if missing := [objective for objective in sweep.options.objectives if values.get(objective) is None]:
        raise RefusedError(f"its result says nothing of {', '.join(missing)}")
    return optuna.trial.create_trial(
        params=params,
        distributions=dict(sweep.search.space),
        values=[float(values[objective]) for objective in sweep.options.objectives],
        intermediate_values=trial.intermediate_values if objectives == sweep.options.objectives else {},
        user_attrs={
            TAKEN_FROM: name,
            "run": str(run.resolve()),
            **{key: trial.user_attrs[key] for key in ("config_hash", "epochs") if key in trial.user_attrs},
        },
    )


def ours(option: str, settings: Mapping[str, Any], space: BaseDistribution) -> Any:
    """The value that a trial of another study has of an option that is searched here.

    Raises:
        RefusedError: when it lies outside.
    """
    if option not in settings:
        raise RefusedError(f"it does not say its {option}")
    value = settings[option]
    try:
        inside = space._contains(space.to_internal_repr(value))
    except (ValueError, TypeError):
        inside = False
    if not inside:
        raise RefusedError(f"{option}={value} is not searched here")
    return value
