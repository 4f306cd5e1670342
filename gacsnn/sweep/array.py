"""Workers on a SLURM cluster: a job array of them, each claiming trials until none is left, and what waits for them.

A worker is the command that the user typed, on a node, with GACSNN_ARRAY in its environment. It needs nothing of the one who
submitted it but the study's folder and storage, so it outlives a closed terminal.
"""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gacsnn.errors import InputError, SweepError
from gacsnn.runtime.console import log
from gacsnn.runtime.files import write_text
from gacsnn.runtime.signals import stop_if_requested, uninterrupted
from gacsnn.sweep import slurm
from gacsnn.sweep.about import file_of
from gacsnn.sweep.budget import is_spent
from gacsnn.sweep.claims import reap_dead
from gacsnn.sweep.conclude import untested
from gacsnn.sweep.confirm import confirmation, is_over
from gacsnn.sweep.jobs import in_folder
from gacsnn.sweep.loop import Sweep, stop_after_failures

# Arrays that end one after the other without an epoch done, before the sweep stops.
PATIENCE = 3

# What SLURM and the workers write, in the study's folder.
LOGS = "slurm"

# Seconds that cancelled workers get to save and end; SLURM gives them KillWait, 30 by default.
CANCELLING = 120.0

# Seconds between looks at the queue: from the first to the second, as time goes by.
LOOK_EVERY = (1.0, 10.0)


def check_shared(folder: Path, storage: str | None) -> None:
    """For a worker: that this node sees what the submitting machine made. It would begin a study of its own else.

    Raises:
        InputError: when it does not.
    """
    files = {"hydra.sweep.dir": folder / "study.json"}
    if storage is not None and (file := file_of(storage)) is not None:
        files["hydra.sweeper.storage"] = file
    for option, file in files.items():
        if not file.exists():
            raise InputError(
                f"{option}: {file} is not on {os.uname().nodename}; it has to be on a folder that all nodes share"
            )


def array_script(options: Mapping[str, Any], workers: int, folder: Path) -> str:
    """The job array that runs this command with so many workers.

    Raises:
        InputError: where SLURM would not take it.
        MachineError: when SLURM does not answer.
    """
    command = [str(Path(sys.argv[0]).absolute()), *sys.argv[1:], *in_folder(folder)]
    python = options.get("python") or shlex.quote(sys.executable)
    text = slurm.script({**options, "python": python}, workers, command, folder / LOGS)
    slurm.check(text)
    return text


def run_array(sweep: Sweep, text: str, watch: Callable[[], None]) -> None:
    """See to it that workers are at work until the sweep is complete.

    Workers that are there already are waited for. When all have ended before the end, others are submitted. Ctrl-C cancels
    them; whatever else ends this process leaves them at work.

    Raises:
        SweepError: when too many trials failed, or workers end again and again with nothing done.
    """
    file = sweep.folder / LOGS / "workers.sh"
    in_vain = 0
    try:
        while not complete(sweep):
            before = progress(sweep)
            array = find_or_submit(sweep, file, text)
            wait_for(sweep, file, array, watch)
            stop_after_failures(sweep)
            in_vain = in_vain + 1 if progress(sweep) == before else 0
            if in_vain and (words := last_words(file, array)):
                raise SweepError(f"study {sweep.name}: job array {array} ended with nothing done; {words}")
            if in_vain == PATIENCE:
                raise SweepError(
                    f"study {sweep.name}: {PATIENCE} job arrays ended with nothing done, the last was {array}; see "
                    f"{file.parent}/{array}_*.log"
                )
    except KeyboardInterrupt:
        cancel_all(file)
        raise
    except SystemExit:
        if slurm.tasks_of(file):
            log.info("the job array stays at work; the same command waits for it again, and Ctrl-C there cancels it")
        raise


@uninterrupted()
def find_or_submit(sweep: Sweep, file: Path, text: str) -> str:
    """The job array that is at work on the study: one of an earlier command, or a new one."""
    if there := slurm.tasks_of(file):
        log.info(f"study {sweep.name}: job array {there[0].array} is at work on it, and waited for")
        return there[0].array
    file.parent.mkdir(exist_ok=True)
    write_text(file, text)
    array = slurm.submit(file)
    log.info(f"study {sweep.name}: its workers are job array {array} -> {file.parent}/{array}_*.log")
    return array


def wait_for(sweep: Sweep, file: Path, array: str, watch: Callable[[], None]) -> None:
    """Until no task of the array is left, saying how far they are whenever that changes."""
    began, said, looked = time.monotonic(), "", 0.0
    while True:
        stop_if_requested()
        watch()
        now = time.monotonic()
        if now - looked < min(LOOK_EVERY[1], max(LOOK_EVERY[0], (now - began) / 10)):
            time.sleep(0.1)
            continue
        looked = now
        tasks = slurm.tasks_of(file)
        if tasks is None:
            continue  # its controller restarts, perhaps; it does not forget its jobs
        if not tasks:
            return
        waiting = [task for task in tasks if task.waits]
        if len(waiting) == len(tasks) and complete(sweep):
            slurm.cancel(array)  # nothing is left for those that have not begun
        reasons = f" ({', '.join(sorted({task.reason for task in waiting}))})" if waiting else ""
        status = sweep.status(sweep.options.n_jobs)
        line = f"workers: {len(tasks) - len(waiting)} at work, {len(waiting)} waiting{reasons}; {status}"
        if line != said:
            log.info(line)
        said = line


def cancel_all(file: Path) -> None:
    """Cancel the workers, and wait until they have saved where they are."""
    deadline = time.monotonic() + CANCELLING
    cancelled: set[str] = set()
    while (tasks := slurm.tasks_of(file)) != [] and time.monotonic() < deadline:
        for array in {task.array for task in tasks or []} - cancelled:
            log.info(f"cancelling job array {array}")
            slurm.cancel(array)
            cancelled.add(array)
        time.sleep(0.5)


@uninterrupted()
def complete(sweep: Sweep) -> bool:
    """Whether nothing is left for a worker. Asked when none runs: trials that died are lined up again."""
    for part in (sweep, confirmation(sweep)):
        if part is not None:
            reap_dead(part.study, part.n_trials, part.options.max_retries)
    return is_over(sweep) and (is_spent(sweep) or not untested(sweep))


@uninterrupted()
def progress(sweep: Sweep) -> int:
    """A number that grows with each epoch, each trial and each test that is done."""
    confirming = confirmation(sweep)
    trials = [trial for part in (sweep, confirming) if part for trial in part.study.get_trials(deepcopy=False)]
    done = sum(trial.state.is_finished() and "died" not in trial.user_attrs for trial in trials)
    return done + sum(trial.user_attrs.get("epochs", 0) for trial in trials) - len(untested(sweep))


def last_words(file: Path, array: str) -> str:
    """Why another array would fare no better; "" where nothing says that."""
    logs = sorted(file.parent.glob(f"{array}_*.log"))
    if not logs:
        return f"it could not write to {file.parent}: does that lie on a folder that all nodes share?"
    lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
    errors = [line for line in lines if line.startswith("error: ")]
    return f"a worker said: {errors[-1].removeprefix('error: ')}" if errors else ""
