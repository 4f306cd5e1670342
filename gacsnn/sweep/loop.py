"""The loop of a sweep: claim a trial, run it, tell the study how it ended, until nothing is left."""

import contextlib
import json
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from gacsnn.config.merge import config_hash
from gacsnn.config.messages import first_line
from gacsnn.errors import InputError, MachineError, StorageError, SweepError, TakenOverError
from gacsnn.runtime.console import labelled, log
from gacsnn.runtime.files import write_text
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import stop_if_requested, uninterrupted
from gacsnn.sweep.claims import INTERRUPTED, ancestors, claim, effective_trials, finish_early, is_taken_up_again
from gacsnn.sweep.endings import tell
from gacsnn.sweep.leases import MAY_LIVE, TAKEN_OVER, lease
from gacsnn.sweep.memory import REMEDIES, REMEDY, give_back, in_parts, room
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.reporter import TrialReporter
from gacsnn.sweep.samplers import make, rehearse, sampler_of
from gacsnn.sweep.search import Compose, Search, grid_size, probes, study_identity
from gacsnn.sweep.status import status
from gacsnn.sweep.storage import open_storage, open_study, storage_beside
from gacsnn.sweep.succession import take_over
from gacsnn.sweep.trial import TRIAL
from gacsnn.sweep.workers import sweep_worker


class Sweep:
    """A sweep as this process sees it: the search, the study, and how a trial becomes a run."""

    def __init__(
        self, options: SweepOptions, search: Search, folder: Path, compose: Compose, launcher: Launcher
    ) -> None:
        """Find out what is wrong with the sweep, then open the study.

        Raises:
            InputError: for a mistake in the sweep, or a study of another kind.
        """
        self.options, self.search, self.folder = options, search, folder
        self.compose, self.launcher = compose, launcher
        self.local = type(launcher).__name__ == "BasicLauncher"
        identity = study_identity(search, probes(search, compose))
        pruner = make("pruner", options.pruner)
        rehearse(options, search)
        self.sampler = sampler_of(options, search)
        grid = options.sampler_name == "GridSampler"
        self.n_trials = min(options.n_trials, grid_size(search.space)) if grid else options.n_trials
        self.name = options.study_name or folder.name
        self.open(identity, pruner)

    @uninterrupted()
    def open(self, identity: dict[str, Any], pruner: optuna.pruners.BasePruner) -> None:
        """Open or make the study; write beside the trials where it is."""
        options = self.options
        url, worker = options.storage or storage_beside(self.folder), sweep_worker() is not None
        storage = open_storage(url, options.storage_patience_seconds, wait=worker)
        self.study = open_study(self.name, storage, options.directions, identity)
        self.study.pruner = pruner
        about = {"study": self.name, "storage": options.storage, "objectives": options.objectives}
        if self.study.user_attrs.get("objectives") != options.objectives:
            self.study.set_user_attr("objectives", options.objectives)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "study.json", json.dumps(about, indent=2) + "\n")

    def work(self, at_once: int) -> None:
        """Run trials, so many at once, until none is left for this process."""
        options = self.options
        while True:
            trials = []
            while len(trials) < at_once:
                trial = claim(self.study, self.n_trials, options.max_retries, options.lease_seconds, self.sampler)
                if trial is None:
                    break
                try:
                    if self.prepare(trial):
                        trials.append(trial)
                except UpdateFinishedTrialError:
                    log_trial(trial, TAKEN_OVER)
            if trials:
                self.run(trials)
            stop_after_failures(self)
            if not trials:
                return

    @uninterrupted()
    def prepare(self, trial: optuna.Trial) -> bool:
        """Choose the trial's parameters; False when it is over already, for a bad combination or a known result."""
        for name, distribution in self.search.space.items():
            trial._suggest(name, distribution)
        try:
            config = self.compose(self.search.overrides(trial.params))
        except InputError as error:
            log_trial(trial, f"failed: {error}")
            finish_early(self.study, trial, str(error))
            return False
        name = config_hash(config)
        trial.set_user_attr("config_hash", name)
        trial.set_user_attr("run", str(trial.number))
        for other in effective_trials(self.study) if self.options.reuse else []:
            if other.state == TrialState.COMPLETE and other.user_attrs.get("config_hash") == name:
                trial.set_user_attr("reused", other.number)
                trial.set_user_attr("run", other.user_attrs["run"])
                self.study.tell(trial, values=list(other.values))
                log_trial(trial, f"the same config as trial {other.number}, whose result is taken")
                return False
        return True

    def run(self, trials: list[optuna.Trial]) -> None:
        """Launch trials together, and tell the study how each ended."""
        jobs: dict[int, list[str]] = {}
        with contextlib.ExitStack() as leases:
            try:
                for trial in trials:
                    if (job := self.begin(trial, leases)) is not None:
                        jobs[trial.number] = job
                trials = [trial for trial in trials if trial.number in jobs]
                returns = self.launcher.launch(list(jobs.values()), initial_job_idx=min(jobs)) if jobs else []
                failed = [returned for returned in returns if returned.status != JobStatus.COMPLETED]
                give_back(returned._return_value for returned in failed)  # before others have the GPU
                if failed:
                    stop_if_requested()  # an import that a signal cuts short may end with an error of its own
            except BaseException as error:
                # Ctrl-C or SIGTERM: what is running has saved its last epoch, and is taken up when the sweep goes on.
                stopped = isinstance(error, KeyboardInterrupt | SystemExit)
                reason = INTERRUPTED if stopped else first_line(error)
                with contextlib.suppress(StorageError):  # then the next start finds that this process is gone
                    for trial in trials:
                        finish_early(self.study, trial, reason, "died")
                raise
        for trial, returned in zip(trials, returns, strict=True):
            log_trial(trial, f"{tell(self.study, self.options.objectives, trial, returned)}; {self.status(len(jobs))}")

    @uninterrupted()
    def status(self, at_once: int) -> str:
        return status(self.study, self.n_trials, self.options.objectives, at_once)

    def begin(self, trial: optuna.Trial, leases: contextlib.ExitStack) -> list[str] | None:
        """Own a trial and make its job. None when it is another's by now, or its run directory cannot be made."""
        try:
            # The lease first: who was held up before it finds out here, and touches no directory.
            leases.enter_context(lease(self.study, trial._trial_id, self.options.lease_seconds))
            if not self.local:  # the job may outlive this process
                trial.set_user_attr(MAY_LIVE, True)
            params, remedy = [f"{name}={value}" for name, value in trial.params.items()], trial.user_attrs.get(REMEDY)
            log_trial(trial, ", ".join([*params, *([REMEDIES[remedy]] if remedy else [])]))
            job = self.job(trial)
            if self.local:
                with labelled(f"trial {trial.number}: "):
                    leases.enter_context(room(self.folder, alone=remedy is not None))
            return job
        except TakenOverError as error:  # while it waited for room
            log_trial(trial, str(error))
        except UpdateFinishedTrialError:
            log_trial(trial, TAKEN_OVER)
        except OSError as error:
            reason = f"{error.filename or self.folder}: {error.strerror or error}"
            log_trial(trial, f"failed: {reason}")
            finish_early(self.study, trial, reason, "died")
        return None

    def job(self, trial: optuna.Trial) -> list[str]:
        """The overrides of a trial's run, in its own directory, where an earlier trial may have left its epochs."""
        if not self.folder.is_dir():
            raise MachineError(f"{self.folder}: the folder of study {self.name} is gone, and its runs with it")
        run_dir = RunDirectory(self.folder / str(trial.number))
        folder = run_dir.path
        with uninterrupted():
            known = self.study.get_trials(deepcopy=False)
        take_over(self.folder, trial.number, [known[number] for number in ancestors(known, trial)[1:]])
        folder.mkdir(exist_ok=True)
        about = {"study": self.name, "trial": trial.number, "params": trial.params}
        write_text(folder / "trial.json", json.dumps(about, indent=2) + "\n")
        own = [f"+hydra.job.env_set.{TRIAL}='{trial.number}'", f"hydra.sweep.subdir='{trial.number}'"]
        if run_dir.saved() and run_dir.config_path.exists():
            TrialReporter(self.study, trial.number, self.options.objectives[0]).repeat(run_dir)
            own.append(f"resume='{folder}'")
        return [*overrides_of(self, trial), *own]


def overrides_of(sweep: Sweep, trial: optuna.Trial | FrozenTrial) -> list[str]:
    """The command line of a trial's run, in parts where that was the remedy."""
    overrides = sweep.search.overrides(trial.params)
    if trial.user_attrs.get(REMEDY) != "parts":
        return overrides
    config = sweep.compose(overrides)
    return [*overrides, in_parts(config.hardware.accumulate, config.batch_size)]


def stop_after_failures(sweep: Sweep) -> None:
    """Trials that died with their process or machine do not count: they are taken up again, or given up by number.

    Raises:
        SweepError: when more trials failed by themselves than may.
    """
    failed = [t for t in effective_trials(sweep.study) if t.state == TrialState.FAIL and not is_taken_up_again(t)]
    if len(failed) > sweep.options.max_failure_rate * sweep.n_trials:
        raise SweepError(
            f"study {sweep.name}: {len(failed)} of {sweep.n_trials} trials failed, more than "
            f"hydra.sweeper.max_failure_rate={sweep.options.max_failure_rate}; the last said: "
            f"{failed[-1].user_attrs.get('reason')}"
        )


def log_trial(trial: optuna.Trial, text: str) -> None:
    log.info(f"trial {trial.number}: {text}")
