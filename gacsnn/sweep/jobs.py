"""From a claimed trial to the job that runs it: its parameters, its lease, its run directory, its command line."""

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from gacsnn.config.merge import config_hash
from gacsnn.errors import InputError, MachineError
from gacsnn.runtime.console import log
from gacsnn.runtime.files import write_text
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import ancestors, effective_trials, finish_early
from gacsnn.sweep.leases import MAY_LIVE, TAKEN_OVER, lease
from gacsnn.sweep.reporter import TrialReporter
from gacsnn.sweep.succession import take_over
from gacsnn.sweep.trial import TRIAL

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
        log_trial(trial, f"failed: {error}")
        finish_early(sweep.study, trial, str(error))
        return False
    name = config_hash(config)
    trial.set_user_attr("config_hash", name)
    trial.set_user_attr("run", str(trial.number))
    for other in effective_trials(sweep.study) if sweep.options.reuse else []:
        if other.state == TrialState.COMPLETE and other.user_attrs.get("config_hash") == name:
            trial.set_user_attr("reused", other.number)
            trial.set_user_attr("run", other.user_attrs["run"])
            sweep.study.tell(trial, values=list(other.values))
            log_trial(trial, f"the same config as trial {other.number}, whose result is taken")
            return False
    return True


def begin(sweep: "Sweep", trial: optuna.Trial, leases: contextlib.ExitStack) -> list[str] | None:
    """Own a trial and make its job. None when it is another's by now, or its run directory cannot be made."""
    try:
        # The lease first: who was held up before it finds out here, and touches no directory.
        leases.enter_context(lease(sweep.study, trial._trial_id, sweep.options.lease_seconds))
        if not sweep.local:  # the job may outlive this process
            trial.set_user_attr(MAY_LIVE, True)
        log_trial(trial, ", ".join(f"{name}={value}" for name, value in trial.params.items()))
        return job(sweep, trial)
    except UpdateFinishedTrialError:
        log_trial(trial, TAKEN_OVER)
    except OSError as error:
        reason = f"{error.filename or sweep.folder}: {error.strerror or error}"
        log_trial(trial, f"failed: {reason}")
        finish_early(sweep.study, trial, reason, "died")
    return None


def job(sweep: "Sweep", trial: optuna.Trial) -> list[str]:
    """The overrides of a trial's run, in its own directory, where an earlier trial may have left its epochs."""
    if not sweep.folder.is_dir():
        raise MachineError(f"{sweep.folder}: the folder of study {sweep.name} is gone, and its runs with it")
    run_dir = RunDirectory(sweep.folder / str(trial.number))
    folder = run_dir.path
    with uninterrupted():
        known = sweep.study.get_trials(deepcopy=False)
    take_over(sweep.folder, trial.number, [known[number] for number in ancestors(known, trial)[1:]])
    folder.mkdir(exist_ok=True)
    about = {"study": sweep.name, "trial": trial.number, "params": trial.params}
    write_text(folder / "trial.json", json.dumps(about, indent=2) + "\n")
    own = [f"+hydra.job.env_set.{TRIAL}='{trial.number}'", *place(sweep, folder)]
    if run_dir.saved() and run_dir.config_path.exists():
        TrialReporter(sweep.study, trial.number, sweep.options.objectives[0]).repeat(run_dir)
        own.append(f"resume='{folder}'")
    return [*sweep.search.overrides(trial.params), *own]


def place(sweep: "Sweep", run: Path) -> list[str]:
    """The overrides that have a job run in a directory of this sweep."""
    return [f"hydra.sweep.dir='{sweep.folder}'", f"hydra.sweep.subdir='{run.name}'"]


def log_trial(trial: optuna.Trial, text: str) -> None:
    log.info(f"trial {trial.number}: {text}")
