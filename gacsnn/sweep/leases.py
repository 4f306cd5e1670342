"""Whose a running trial is, and whether its owner is still there.

An owner (host, process) renews the lease of its trial. It is dead when its process is gone from this host, or, on another
host, when its lease is over.
"""

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from gacsnn.runtime.signals import uninterrupted

# Seconds after which a running trial without an owner is taken for one whose process was killed while it began.
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
def set_owner(study: optuna.Study, trial_id: int, seconds: float) -> None:
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

    set_owner(study, trial_id, seconds)
    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
