"""What a run or a sweep will take, in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.runtime.console import duration, gib, mib
from gacsnn.sweep.claims import TAKEN_FROM
from gacsnn.sweep.planned import read_plan

# Attributes of trials that were not run from start to end.
NOT_WHOLE = {"reused", "retry_of", TAKEN_FROM}


# Numbers of processes with a time of their own in a plan for other machines.
PROCESSES = (1, 2, 4, 8)


def run_lines(figures: Mapping[str, Any]) -> list[str]:
    """The plan of one run (`tasks/plan.py`)."""
    memory, free = mib(figures["memory_bytes"]), gib(figures["free_bytes"])
    together = "" if figures["processes"] == 1 else f", {figures['processes']} processes"
    lines = [f"measured on {figures['device']}{together}"]
    if not figures["fits"]:
        help = "hardware.accumulate=auto or a smaller batch_size"
        return [*lines, f"memory: a step's tensors take {memory}, and {free} may be used: it would not fit; try {help}"]
    seconds = figures["step_seconds"]
    step = f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"
    steps_time = figures["steps"] * figures["step_seconds"] * figures["processes"]
    rest = figures["seconds"] - figures["steps"] * figures["step_seconds"]
    by = ", ".join(f"{duration(steps_time / count + rest)} by {count}" for count in PROCESSES)
    assumed = figures.get("assumed", [])
    like_this = f"time by processes on such devices, without their communication: {by}"
    return [
        *lines,
        *assumed,
        f"steps: {figures['steps']:,} of {step}, {figures['epochs']:g} epochs of {figures['train_images']:,} images",
        f"evaluation: {1000 * figures['evaluation_seconds']:.3g} ms an image",
        f"time: about {duration(figures['seconds'])}, {duration(figures['epoch_seconds'])} an epoch",
        *([like_this] if assumed else []),
        f"memory: a step's tensors take {memory}" + (" a process" if assumed else f", of {free} that may be used"),
        f"disk: {mib(figures['disk_bytes'])} of checkpoints",
    ]


def taken_lines(study: optuna.Study, trials: Sequence[FrozenTrial], folder: Path) -> list[str]:
    """What the complete trials of a sweep took against what its plan said; nothing where it has none."""
    plan = read_plan(folder)
    if plan is None:
        return []
    if plan.about.get("identity") != study.user_attrs.get("identity"):
        return ["planned: plan.json is of a sweep with other options, and says nothing of this one"]
    pairs = [
        (planned, trial.duration.total_seconds())
        for trial in trials
        if trial.state == TrialState.COMPLETE and not NOT_WHOLE & trial.user_attrs.keys()
        if trial.duration is not None and (planned := plan.seconds(trial.params)) is not None
    ]
    if not pairs:
        return []
    planned, actual = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return [
        f"planned: {duration(planned)} a trial; {len(pairs)} that ran from start to end took {duration(actual)}, "
        f"{actual / planned:.2f} x that"
    ]
