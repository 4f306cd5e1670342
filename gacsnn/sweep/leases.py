"""Whose a running trial is, and whether its owner is still there.

An owner (machine, process) renews the lease of its trial. It is dead when its process is gone from this machine, or, on another
one, when its lease has not moved for as long as it lasts, by our own clock: those of two machines are never compared.
"""

import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from gacsnn.runtime.signals import set_taken_over, uninterrupted
from gacsnn.sweep.patient import back_since, impatient

# What the owner is told that could not renew its lease in time.
TAKEN_OVER = (
    "nothing was heard of this process for longer than its lease, and the trial is another's; nothing more is written"
)

# The attribute of a trial that was held for dead without our knowing: its owner may live and write.
MAY_LIVE = "may_live"

# How often a lease is renewed while it lasts.
RENEWALS = 4

# Seconds without an owner, by our clock, after which a running trial is one whose process was killed while it began.
UNOWNED = 10.0


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


def machine() -> dict[str, str]:
    """Where process numbers mean the same: containers share host name and boot, and number their processes apart."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return {"host": platform.node(), "boot": boot(), "namespace": namespace}


def owner() -> dict[str, Any]:
    return {**machine(), "pid": os.getpid(), "start": process_start(os.getpid())}


def is_here(held: Mapping[str, Any]) -> bool:
    return all(held.get(name, value) == value for name, value in machine().items())


@dataclass
class Seen:
    """A lease as it was last seen, since when by our clock, and whether it has moved since the first look."""

    value: float | None
    since: float
    moved: bool = False


# By storage and trial.
_seen: WeakKeyDictionary[BaseStorage, dict[int, Seen]] = WeakKeyDictionary()


def look(study: optuna.Study, trial: FrozenTrial) -> Seen:
    """Look at the lease of a trial on another machine, or of one that has no owner yet."""
    known, value = _seen.setdefault(study._storage, {}), trial.user_attrs.get("lease")
    seen = known.get(trial._trial_id)
    if seen is None or seen.value != value:
        known[trial._trial_id] = Seen(value, time.monotonic(), moved=seen is not None)
    return known[trial._trial_id]


def dead(study: optuna.Study, trial: FrozenTrial) -> str | None:
    """Why a running trial is no longer run by anyone; None while it may be."""
    held = trial.user_attrs.get("owner")
    if held is not None and is_here(held):
        return killed_here(trial)
    # While the storage was away nobody could renew: a lease begins anew when it comes back.
    since = max(look(study, trial).since, back_since(study._storage))
    if held is None:
        return "its process was killed while it began" if time.monotonic() - since > UNOWNED else None
    if time.monotonic() - since > trial.user_attrs.get("lease_seconds", 60.0):
        return f"nothing was heard of its process {held['pid']} on {held['host']}"
    return None


def killed_here(trial: FrozenTrial) -> str | None:
    """Return why a running trial of a process on this machine is over; None while it runs, or if it is on another machine."""
    held = trial.user_attrs.get("owner")
    if trial.state != TrialState.RUNNING or held is None or not is_here(held):
        return None
    gone = process_start(held["pid"]) != held["start"]
    return f"its process {held['pid']} on {held['host']} was killed" if gone else None


def in_doubt(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether a running trial may be dead without our knowing yet: it just began, or its lease has not moved so far."""
    held = trial.user_attrs.get("owner")
    return held is None or not (is_here(held) or look(study, trial).moved)


@uninterrupted()
def set_owner(study: optuna.Study, trial_id: int, seconds: float) -> None:
    """Say that this process runs the trial, for so long."""
    study._storage.set_trial_user_attr(trial_id, "lease_seconds", seconds)
    study._storage.set_trial_user_attr(trial_id, "lease", time.time())
    study._storage.set_trial_user_attr(trial_id, "owner", owner())


@contextmanager
def lease(study: optuna.Study, trial_id: int, seconds: float) -> Iterator[None]:
    """Own a running trial, and renew its lease from a thread, while the context lasts.

    A trial that is finished stays so: who could not renew in time and is held for dead finds out with the next renewal, and
    the run at work here ends at its next look (`stop_if_requested`).

    Raises:
        UpdateFinishedTrialError: when that is so already.
    """
    storage = study._storage
    over = threading.Event()

    def renew() -> None:
        while not over.wait(seconds / RENEWALS):
            try:
                with impatient():
                    storage.set_trial_user_attr(trial_id, "lease", time.time())
            except optuna.exceptions.UpdateFinishedTrialError:
                if not over.is_set():
                    set_taken_over(TAKEN_OVER)
                return
            except Exception:  # a storage that is away for a while: the next renewal may reach it
                continue

    set_taken_over(None)
    set_owner(study, trial_id, seconds)
    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)  # a storage that does not answer holds it up
        set_taken_over(None)
