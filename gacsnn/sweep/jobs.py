"""From a claimed trial to the job that runs it: its parameters, its lease, its run directory, its command line."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from gacsnn.config.merge import config_hash
from gacsnn.config.text import to_json
from gacsnn.errors import InputError, MachineError, TakenOverError, UnavailableError, machine_error
from gacsnn.runtime.console import labelled, log
from gacsnn.runtime.files import write_text
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import FAULT, PREPARED, ancestors, effective_trials, finish_early
from gacsnn.sweep.faults import MachineFault
from gacsnn.sweep.leases import MAY_LIVE, TAKEN_OVER, lease
from gacsnn.sweep.memory import REMEDIES, REMEDY, in_parts, room
from gacsnn.sweep.succession import take_over
from gacsnn.sweep.trial import TRIAL, name_of
from gacsnn.sweep.typed import quote

if TYPE_CHECKING:
    from gacsnn.sweep.loop import Sweep


@uninterrupted()
def prepare(sweep: "Sweep", trial: optuna.Trial) -> bool:
    """Choose the trial's parameters; False when it is over already, for a bad combination or a known result."""
    for name, distribution in sweep.search.space.items():
        trial._suggest(name, distribution)
    try:
        config = sweep.compose(sweep.search.overrides(trial.params))
    except InputError as error:
        log_trial(sweep, trial, f"failed: {error}")
        finish_early(sweep.study, trial, str(error))
        return False
    name = config_hash(config)
    trial.set_user_attr(PREPARED, name)
    trial.set_user_attr("run", str(trial.number))
    for other in effective_trials(sweep.study) if sweep.options.reuse else []:
        if other.state == TrialState.COMPLETE and other.user_attrs.get(PREPARED) == name:
            trial.set_user_attr("reused", other.number)
            trial.set_user_attr("run", other.user_attrs["run"])
            sweep.study.tell(trial, values=list(other.values))
            log_trial(sweep, trial, f"the same config as trial {other.number}, whose result is taken")
            return False
    return True


def begin(
    sweep: "Sweep", trial: optuna.Trial, leases: contextlib.ExitStack, fault: MachineFault
) -> list[list[str]] | None:
    """Own a trial and make its jobs, one a seed. None when it is another's by now, or its run directory cannot be made."""
    try:
        # The lease first: who was held up before it finds out here, and touches no directory.
        leases.enter_context(lease(sweep.study, trial._trial_id, sweep.options.lease_seconds))
        if not sweep.local:  # the job may outlive this process
            trial.set_user_attr(MAY_LIVE, True)
        params, remedy = [f"{name}={value}" for name, value in trial.params.items()], trial.user_attrs.get(REMEDY)
        log_trial(sweep, trial, ", ".join([*params, *([REMEDIES[remedy]] if remedy else [])]))
        jobs = jobs_of(sweep, trial)
        if sweep.local:
            with labelled(f"{name_of(sweep.folder, trial.number)}: "):
                leases.enter_context(room(sweep.folder, alone=remedy is not None))
        return jobs
    except TakenOverError as error:  # while it waited for room
        log_trial(sweep, trial, str(error))
    except UpdateFinishedTrialError:
        log_trial(sweep, trial, TAKEN_OVER)
    except OSError as error:
        failed = machine_error(error, sweep.folder, "the trial has not begun")
        log_trial(sweep, trial, f"failed: {failed}")
        finish_early(sweep.study, trial, str(failed), "died", FAULT if isinstance(failed, UnavailableError) else "")
        fault.note(failed)
    return None


def jobs_of(sweep: "Sweep", trial: optuna.Trial) -> list[list[str]]:
    """The overrides of a trial's runs, in its own directory, where an earlier trial may have left their epochs."""
    if not sweep.folder.is_dir():
        raise MachineError(f"{sweep.folder}: the folder of study {sweep.name} is gone, and its runs with it")
    folder, overrides = sweep.folder / str(trial.number), overrides_of(sweep, trial)
    with uninterrupted():
        known = sweep.study.get_trials(deepcopy=False)
    take_over(sweep.folder, trial.number, [known[number] for number in ancestors(known, trial)[1:]])
    folder.mkdir(exist_ok=True)
    about = {"study": sweep.name, "trial": trial.number, "params": trial.params}
    write_text(folder / "trial.json", to_json(about, indent=2) + "\n")
    if sweep.options.repeats == 1:
        return [job(sweep, trial, folder, overrides)]
    first = sweep.compose(overrides).seed
    seeds = range(first, first + sweep.options.repeats)
    return [job(sweep, trial, folder / f"seed-{seed}", [*overrides, f"seed={seed}"]) for seed in seeds]


def job(sweep: "Sweep", trial: optuna.Trial, run: Path, overrides: list[str]) -> list[str]:
    goes_on = [f"resume={quote(run)}"] if has_begun(run) else []
    return [*overrides, f"+hydra.job.env_set.{TRIAL}='{trial.number}'", *place(sweep, run), *goes_on]


def overrides_of(sweep: "Sweep", trial: optuna.Trial | FrozenTrial) -> list[str]:
    """The command line of a trial's run, in parts where that was the remedy."""
    overrides = sweep.search.overrides(trial.params)
    if trial.user_attrs.get(REMEDY) != "parts":
        return overrides
    config = sweep.compose(overrides)
    graphs = ["hardware.cuda_graphs=auto"] if config.hardware.cuda_graphs is True else []  # which take no parts
    return [*overrides, in_parts(config.hardware.accumulate, config.batch_size), *graphs]


def has_begun(run: Path) -> bool:
    return bool(RunDirectory(run).saved()) and RunDirectory(run).config_path.exists()


def place(sweep: "Sweep", run: Path) -> list[str]:
    """The overrides that have a job run in a directory of this sweep."""
    inside = run.relative_to(sweep.folder) if run.is_relative_to(sweep.folder) else run.name
    return [*in_folder(sweep.folder), f"hydra.sweep.subdir={quote(inside)}"]


def in_folder(folder: Path) -> list[str]:
    """The override that has another process work in this folder, which may be named by the time (`${now:...}`)."""
    return [f"hydra.sweep.dir={quote(folder)}"]


def log_trial(sweep: "Sweep", trial: optuna.Trial, text: str) -> None:
    log.info(f"{name_of(sweep.folder, trial.number)}: {text}")
