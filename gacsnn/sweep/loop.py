"""The loop of a sweep: claim a trial, run it, tell the study how it ended, until nothing is left."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from gacsnn.config.schema import Config, Train
from gacsnn.errors import InputError, SweepError, TakenOverError
from gacsnn.runtime.run_dir import RunDirectory, remove_leftovers
from gacsnn.runtime.signals import stop_if_requested, uninterrupted
from gacsnn.sweep import repeats
from gacsnn.sweep.about import check_database, check_new, is_begun, storage_beside, write_about, written_storage
from gacsnn.sweep.budget import is_spent, refused
from gacsnn.sweep.claims import ASKED, claim, effective_trials, got_on, is_taken_up_again
from gacsnn.sweep.compose import Compose
from gacsnn.sweep.endings import end_own, tell
from gacsnn.sweep.faults import MachineFault
from gacsnn.sweep.jobs import begin, log_trial, prepare
from gacsnn.sweep.leases import TAKEN_OVER
from gacsnn.sweep.memory import give_back
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.points import grid_size
from gacsnn.sweep.pruners import for_epochs
from gacsnn.sweep.question import Claim, read_claims, to_plain
from gacsnn.sweep.rungs import Rungs, promote
from gacsnn.sweep.samplers import make, rehearse, sampler_of
from gacsnn.sweep.search import Search, probes, study_identity
from gacsnn.sweep.status import status
from gacsnn.sweep.storage import check_kind, open_storage, open_study, runs_of, stored_study
from gacsnn.sweep.workers import sweep_worker


@dataclass(frozen=True)
class Checked:
    """What is known of a sweep before its first trial."""

    identity: dict[str, Any]
    claims: list[Claim]
    n_trials: int
    pruner: optuna.pruners.BasePruner


def check(options: SweepOptions, search: Search, compose: Compose) -> Checked:
    """Find out what is wrong with a sweep, with nothing written.

    Raises:
        InputError: for whatever it is.
    """
    claims = read_claims(options.claim, search.space, options.test)
    probed = probes(search, compose)
    for config in probed:
        check_objectives(options.objectives, config)
    identity = study_identity(search, probed)
    identity |= {f"claim {number}": str(claim) for number, claim in enumerate(claims, start=1)}
    check_seeds(options, probed)
    identity |= {} if options.repeats == 1 else {"repeats": options.repeats}
    if "epochs" in search.space and "min_resource" in options.pruner and options.pruner.min_resource is None:
        raise InputError(
            "hydra.sweeper.pruner.min_resource=null: follows the epochs, which this sweep searches; give the epochs of the first "
            "rung"
        )
    pruner = make("pruner", for_epochs(options.pruner, min(config.epochs for config in probed)))
    rehearse(options, search)
    grid = options.sampler_name == "GridSampler"
    n_trials = min(options.n_trials, grid_size(search.space)) if grid else options.n_trials
    return Checked(identity, claims, n_trials, pruner)


def check_seeds(options: SweepOptions, probed: Sequence[Config]) -> None:
    """Raises InputError where the seeds that `repeats` and `confirm` bring would go beyond the last there is."""
    more = options.repeats - 1 + (options.confirm.seeds if options.confirm else 0)
    highest = max(config.seed for config in probed)
    if highest + more >= 2**32:
        raise InputError(f"seed={highest}: with {more} more seeds it passes the last, {2**32 - 1}; take a smaller one")


def check_objectives(objectives: Sequence[str], config: Config) -> None:
    """Raises InputError where trials are compared by a score that they would not have, as each would say at its end."""
    if "validation_top1" not in objectives or not isinstance(config.task, Train):
        return
    if config.task.selected_by == "test":
        reason = "task.selected_by=test (which preset=faithful sets)"
    elif config.dataset.validation == 0:
        reason = "dataset.validation=0"
    else:
        return
    raise InputError(
        f"hydra.sweeper.objectives: trials with {reason} have no validation_top1 to be compared by; a plain grid, -m without a "
        "search, compares nothing"
    )


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
        checked = check(options, search, compose)
        self.claims, self.n_trials = checked.claims, checked.n_trials
        self.sampler = sampler_of(options, search)
        self.name = options.study_name or folder.name
        self.open(checked.identity, checked.pruner)

    @uninterrupted()
    def open(self, identity: dict[str, Any], pruner: optuna.pruners.BasePruner) -> None:
        """Open or make the study; write beside the trials where it is."""
        options = self.options
        url = options.storage or storage_beside(self.folder)
        made = sweep_worker() is not None and options.confirms is None  # by its supervisor
        begun = not made and is_begun(self.folder, self.name)
        if begun:
            check_database(url, writes=True)
        elif not made:
            check_new(url)
        storage = open_storage(url, options.storage_patience_seconds, wait=made)
        if begun:
            stored_study(self.name, storage, url, f"hydra.sweep.dir={self.folder}")
        self.study = open_study(self.name, storage, options.directions, identity)
        self.study.pruner = pruner
        keep_objectives(self.study, options.objectives)
        keep_rungs(self.study, options.rungs)
        if not made and self.study.user_attrs.get(ASKED) != self.n_trials:
            self.study.set_user_attr(ASKED, self.n_trials)
        about = {
            "study": self.name,
            "storage": written_storage(options.storage, self.folder),
            "objectives": options.objectives,
        }
        about |= {"confirms": options.confirms} if options.confirms else {}
        if self.claims and "claims" not in self.study.user_attrs:
            self.study.set_user_attr("claims", to_plain(self.claims))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_about(self.folder, about)
        if begun:
            remove_leftovers_of_finished(self.study, self.folder)

    def work(self, at_once: int) -> None:
        """Run trials, so many at once, until none is left for this process."""
        try:
            self.work_on(at_once)
        except BaseException as error:
            # Ctrl-C or SIGTERM: a run has saved its last epoch, and is taken up when the sweep goes on.
            with uninterrupted():
                end_own(self.study, error)
            raise

    def work_on(self, at_once: int) -> None:
        options, fault = self.options, MachineFault(self.options.storage_patience_seconds)
        while True:
            trials = []
            while len(trials) < at_once and not is_spent(self):
                trial = claim(
                    self.study, self.n_trials, options.max_retries, options.lease_seconds, self.sampler, self.promote
                )
                if trial is None:
                    break
                try:
                    if not prepare(self, trial):
                        continue
                    if reason := refused(self, trial):
                        log_trial(self, trial, reason)
                        break
                    trials.append(trial)
                except UpdateFinishedTrialError:
                    log_trial(self, trial, TAKEN_OVER)
            if trials:
                self.run(trials, fault)
            stop_after_failures(self)
            fault.pause()
            if not trials:
                return

    def promote(self) -> None:
        if self.options.rungs is not None:
            promote(self.study, self.options.rungs, self.n_trials)

    def run(self, trials: list[optuna.Trial], fault: MachineFault) -> None:
        """Launch trials together, and tell the study how each ended."""
        jobs: dict[int, list[list[str]]] = {}
        with contextlib.ExitStack() as leases:
            for trial in trials:
                if (mine := begin(self, trial, leases, fault)) is not None:
                    jobs[trial.number] = mine
            trials = [trial for trial in trials if trial.number in jobs]
            returns = repeats.launch(self, trials, jobs)
            failed = [returned for returned in returns if returned.status != JobStatus.COMPLETED]
            give_back(returned._return_value for returned in failed)  # before others have the GPU
            if failed:
                with contextlib.suppress(TakenOverError):  # that is the trial's end, and not this process's
                    stop_if_requested()  # an import that a signal cuts short may end with an error of its own
        with uninterrupted():
            known = self.study.get_trials(deepcopy=False)
        for trial, returned in zip(trials, returns, strict=True):
            fault.note(returned._return_value, got_on(known, known[trial.number]))
            log_trial(
                self, trial, f"{tell(self.study, self.options.objectives, trial, returned)}; {self.status(len(jobs))}"
            )

    @uninterrupted()
    def status(self, at_once: int) -> str:
        return status(self.study, self.n_trials, self.options.objectives, at_once)


def remove_leftovers_of_finished(study: optuna.Study, folder: Path) -> None:
    """Remove the temporary files that killed processes left in the run directories of finished trials."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished():
            for run in runs_of(trial, folder):
                remove_leftovers(RunDirectory(run))


def check_alike(study: optuna.Study, options: SweepOptions, identity: Mapping[str, Any]) -> None:
    """Raises InputError where a sweep could not go on with a study that is there."""
    check_kind(study, options.directions, identity)
    check_compared(study, options.objectives)
    check_rungs(study, options.rungs)


def keep_objectives(study: optuna.Study, objectives: list[str]) -> None:
    """Write into a study what its trials are compared by. Raises InputError where that is something else already."""
    check_compared(study, objectives)
    if "objectives" not in study.user_attrs:
        study.set_user_attr("objectives", objectives)


def check_compared(study: optuna.Study, objectives: list[str]) -> None:
    there = study.user_attrs.get("objectives", objectives)
    if there != objectives:
        raise InputError(
            f"hydra.sweeper.study_name={study.study_name}: the trials of this study are compared by {', '.join(there)}, not by "
            f"{', '.join(objectives)}; give another name"
        )


def keep_rungs(study: optuna.Study, rungs: Rungs | None) -> None:
    """Write into a new study at which rungs its trials pause. Raises InputError where they did so at others.

    A study of an earlier version, which did not write them down, goes on with those that are given.
    """
    check_rungs(study, rungs)
    if "rungs" not in study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr("rungs", as_kept(rungs))


def check_rungs(study: optuna.Study, rungs: Rungs | None) -> None:
    here = as_kept(rungs)
    there = study.user_attrs.get("rungs", here)
    if there != here:
        raise InputError(
            f"hydra.sweeper.rungs: the trials of study {study.study_name} {paused(there)}, and here they would "
            f"{paused(here)}; give another hydra.sweeper.study_name, or the rungs and reduction_factor it was begun with"
        )


def as_kept(rungs: Rungs | None) -> list[Any] | None:
    return None if rungs is None else [list(rungs.epochs), rungs.factor]


def paused(rungs: list[Any] | None) -> str:
    return "run without a pause" if rungs is None else f"pause after epochs {rungs[0]}, one in {rungs[1]} going on"


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
