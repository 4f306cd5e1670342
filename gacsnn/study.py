"""A study that many processes share and none can break: who runs which trial, who died, what is tried again.

A study lives in an Optuna storage. The rules need nothing of the storage but that trials are numbered in the order in which
they were made and that a finished trial stays finished, so they hold for SQLite, PostgreSQL, MySQL and journal files:

- A trial is *new* or takes up one that died (`retry_of`). Of the new ones the first `n_trials` count; a later one, made
  in a race between two processes, is *surplus* and ends at once. Of two that take up the same trial, the later is surplus.
- A running trial has an owner (host, process) and a lease, which the owner renews. It is dead when its process is gone
  from this host, or, on another host, when its lease is over. A dead one is FAIL, with the reason, and taken up again.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError, Pruned
from gacsnn.files import uninterrupted

optuna.logging.set_verbosity(optuna.logging.WARNING)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

INTERRUPTED = "interrupted by the user"

# Seconds after which a running trial without an owner is taken for one whose process was killed while it began.
UNOWNED = 10.0


def open_storage(url: str) -> BaseStorage:
    """An Optuna storage: a database URL as SQLAlchemy takes it, or `journal:FILE`.

    Raises:
        InputError: when it cannot be reached.
    """
    try:
        if url.startswith("journal:"):
            file = Path(url.removeprefix("journal:").removeprefix("//"))
            file.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(file)))
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            return patiently(lambda: RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 100}}))
        return patiently(lambda: RDBStorage(url, engine_kwargs={"pool_pre_ping": True}))
    except Exception as error:  # drivers raise what they like
        raise InputError(f"hydra.sweeper.storage={url}: cannot be reached ({first_line(error)})") from None


def patiently(make: Callable[[], BaseStorage]) -> BaseStorage:
    """Two processes that make the same tables at once: one of them finds them half made, and succeeds a little later."""
    for attempt in range(10):
        try:
            return make()
        except Exception as error:
            if attempt == 9 or not any(word in str(error).lower() for word in ("exist", "unique", "locked")):
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


def first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def open_study(name: str, storage: BaseStorage, directions: list[str], identity: Mapping[str, Any]) -> optuna.Study:
    """The study of that name, made where there is none.

    `identity` says what makes trials comparable: the search space and all that is not searched.

    Raises:
        InputError: when the study has other directions or another identity.
    """
    study = patiently_create(name, storage, directions)
    there = [direction.name.lower() for direction in study.directions]
    if there != directions:
        raise InputError(
            f"hydra.sweeper.study_name={name}: this study exists, and its direction is {', '.join(there)}, not "
            f"{', '.join(directions)}; give another name"
        )
    saved = study.user_attrs.get("identity")
    if saved is None:
        study.set_user_attr("identity", dict(identity))
    elif differ := differences(saved, identity):
        raise InputError(
            f"hydra.sweeper.study_name={name}: the trials of this study are of another kind: {differ}; give another name"
        )
    return study


def patiently_create(name: str, storage: BaseStorage, directions: list[str]) -> optuna.Study:
    for _ in range(10):
        try:
            return optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
        except optuna.exceptions.StorageInternalError:
            time.sleep(0.3)
    return optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """`optimizer.lr is FloatDistribution(...) there and missing here, ...`, the first four."""
    old, new = json.loads(json.dumps(there)), json.loads(json.dumps(here))
    keys = [key for key in {**old, **new} if old.get(key, "missing") != new.get(key, "missing")]
    shown = [f"{key} is {old.get(key, 'missing')} there and {new.get(key, 'missing')} here" for key in keys[:4]]
    return ", ".join(shown) + (", ..." if len(keys) > 4 else "")


# Who owns a trial


def process_start(pid: int) -> str | None:
    """When a process of this host began, as Linux counts; None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def boot() -> str:
    """Names this start of this machine: in containers host names repeat."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def owner() -> dict[str, Any]:
    return {"host": platform.node(), "boot": boot(), "pid": os.getpid(), "start": process_start(os.getpid())}


def dead(trial: FrozenTrial) -> str | None:
    """Why a running trial is no longer run by anyone; None while it may be."""
    held = trial.user_attrs.get("owner")
    if held is None:
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return "its process was killed while it began" if time.time() - began > UNOWNED else None
    if held["host"] == platform.node() and held["boot"] == boot():
        gone = process_start(held["pid"]) != held["start"]
        return f"its process {held['pid']} on {held['host']} was killed" if gone else None
    if time.time() > trial.user_attrs.get("lease", 0.0):
        return f"nothing was heard of its process {held['pid']} on {held['host']}"
    return None


@uninterrupted()
def hold(study: optuna.Study, trial_id: int, seconds: float) -> None:
    """Say that this process runs the trial, for so long. The lease first: without one, an owner elsewhere is dead."""
    study._storage.set_trial_user_attr(trial_id, "lease", time.time() + seconds)
    study._storage.set_trial_user_attr(trial_id, "owner", owner())


@contextmanager
def lease(study: optuna.Study, trial_id: int, seconds: float) -> Iterator[None]:
    """Own a running trial, and renew its lease from a thread, while the context lasts."""
    storage = study._storage
    over = threading.Event()

    def renew() -> None:
        while not over.wait(seconds / 4):
            try:
                storage.set_trial_user_attr(trial_id, "lease", time.time() + seconds)
            except optuna.exceptions.UpdateFinishedTrialError:
                return
            except Exception:  # a storage that is away for a while: the next renewal may reach it
                continue

    hold(study, trial_id, seconds)
    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# Which trial is next


def is_new(trial: FrozenTrial) -> bool:
    return "retry_of" not in trial.user_attrs and "surplus" not in trial.user_attrs


def rank(study: optuna.Study, number: int) -> int:
    """How many new trials came before."""
    return sum(is_new(trial) for trial in study.get_trials(deepcopy=False) if trial.number < number)


def bury(study: optuna.Study, n_trials: int, max_retries: int) -> None:
    """Record dead trials as failed, and line up what is to be taken up again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if reason := dead(trial):
            finish_early(study, trial, reason, "surplus" if surplus(study, trial, n_trials) else "died")
    trials = study.get_trials(deepcopy=False)
    taken_up = {trial.user_attrs.get("retry_of") for trial in trials}
    for trial in trials:
        if trial.state == TrialState.FAIL and "died" in trial.user_attrs and trial.number not in taken_up:
            interrupted = trial.user_attrs["died"] == INTERRUPTED  # by the user, who may do so as often as he likes
            tries = trial.user_attrs.get("tries", 1) + (not interrupted)
            if tries <= 1 + max_retries:
                study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number, "tries": tries})


def ancestors(trials: list[FrozenTrial], trial: FrozenTrial | optuna.Trial) -> list[int]:
    """The number of the trial and of those that it takes up, the latest first."""
    chain = [trial.number]
    attributes = trial.user_attrs
    while "retry_of" in attributes:
        chain.append(attributes["retry_of"])
        attributes = trials[chain[-1]].user_attrs
    return chain


@uninterrupted()
def finish_early(study: optuna.Study, trial: FrozenTrial | optuna.Trial, reason: str, mark: str = "") -> None:
    """FAIL with its reason. What is marked `died` is taken up again; what failed by itself is not."""
    try:
        study._storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        if mark:
            study._storage.set_trial_user_attr(trial._trial_id, mark, reason)
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    except optuna.exceptions.UpdateFinishedTrialError:
        return  # another process was faster


def claim(
    study: optuna.Study,
    n_trials: int,
    max_retries: int,
    seconds: float,
    sampler: Callable[[int], optuna.samplers.BaseSampler],
) -> optuna.Trial | None:
    """The next trial that this process is to run, or None when nothing is left for it to do.

    `seconds` is the first lease; `sampler` gives the sampler of the r-th new trial.
    """
    while True:
        trial = take(study, n_trials, max_retries, seconds, sampler)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if trial is not None or all("owner" in other.user_attrs for other in running):
            return trial
        time.sleep(0.5)  # one is about to begin, or its process was killed just then


# Ctrl-C in the middle of a transaction would leave it open, and the storage locked for all, this process included.
@uninterrupted()
def take(
    study: optuna.Study,
    n_trials: int,
    max_retries: int,
    seconds: float,
    sampler: Callable[[int], optuna.samplers.BaseSampler],
) -> optuna.Trial | None:
    """A trial for this process, if there is one just now."""
    while True:
        bury(study, n_trials, max_retries)
        trials = study.get_trials(deepcopy=False)
        made = sum(map(is_new, trials))
        if made >= n_trials and not any(trial.state == TrialState.WAITING for trial in trials):
            return None
        study.sampler = sampler(made)
        trial = study.ask()
        hold(study, trial._trial_id, seconds)
        if surplus(study, trial, n_trials):
            finish_early(study, trial, "another process was faster", "surplus")
            continue
        first = ancestors(study.get_trials(deepcopy=False), trial)[-1]
        study.sampler = sampler(rank(study, first))
        return trial


def surplus(study: optuna.Study, trial: FrozenTrial | optuna.Trial, n_trials: int) -> bool:
    """Whether this trial is one too many: beyond the number asked for, or the second that takes up the same one."""
    taken_up = trial.user_attrs.get("retry_of")
    if taken_up is None:
        return rank(study, trial.number) >= n_trials
    rivals = [other for other in study.get_trials(deepcopy=False) if other.user_attrs.get("retry_of") == taken_up]
    return any(rival.number < trial.number and "surplus" not in rival.user_attrs for rival in rivals)


def standing(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that answer for the study: not those that died and were taken up again, nor surplus ones."""
    trials = study.get_trials(deepcopy=False)
    taken_up = {trial.user_attrs.get("retry_of") for trial in trials if "surplus" not in trial.user_attrs}
    return [trial for trial in trials if trial.number not in taken_up and "surplus" not in trial.user_attrs]


# What a run tells its trial


class Reporter:
    """Tells the study a run's score after each epoch, and stops the run when the pruner says so."""

    def __init__(self, study: optuna.Study, number: int, score: str) -> None:
        self.study = study
        self.trial_id = study.get_trials(deepcopy=False)[number]._trial_id
        self.number = number
        self.score = score

    @uninterrupted()
    def __call__(self, line: Mapping[str, Any]) -> None:
        """After an epoch, with its line of metrics.jsonl.

        Raises:
            Pruned: when the trial is not worth going on with.
        """
        epoch = line["epoch"]
        self.study._storage.set_trial_user_attr(self.trial_id, "epochs", epoch)
        if len(self.study.directions) > 1 or self.score not in line:
            return
        self.study._storage.set_trial_intermediate_value(self.trial_id, epoch, line[self.score])
        trial = self.study._storage.get_trial(self.trial_id)
        if self.study.pruner.prune(self.study, trial):
            raise Pruned(f"stopped early after epoch {epoch}: {self.score} {line[self.score]:.2f} is not promising")

    @uninterrupted()
    def repeat(self, metrics: Path) -> None:
        """Tell the scores of the epochs that an earlier trial left in this run directory."""
        if len(self.study.directions) > 1 or not metrics.exists():
            return
        for text in metrics.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue  # the line that was being written when the process was killed
            if self.score in line:
                self.study._storage.set_trial_intermediate_value(self.trial_id, line["epoch"], line[self.score])
