"""What is said to SLURM and heard of it: a job array that runs one command, in as many tasks as there are workers."""

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gacsnn.errors import InputError, MachineError

# Options of hydra-submitit-launcher that are no flags of sbatch, and those whose flag has another name.
OURS = {"_target_", "submitit_folder", "signal_delay_s", "max_num_timeout", "python", "additional_parameters"}
OURS |= {"array_parallelism", "setup", "srun_args", "use_srun", "stderr_to_stdout"}
FLAGS = {"name": "job-name", "timeout_min": "time", "mem_gb": "mem", "tasks_per_node": "ntasks-per-node"}

# A signal that bash handles ends `wait`, so there is a second one. 99 says: saved, run me again; killed, the worker is run
# again so often. A task is named by its place in the array, because the job number of one of them is that of the whole array.
# When SLURM ends the job, it ends this shell as well, before anything is requeued.
RUN = """\
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
{command} &
worker=$!
trap 'kill -USR1 $worker' USR1
wait $worker; code=$?
while kill -0 $worker 2> /dev/null; do wait $worker; code=$?; done
case $code in
    0 | 1 | 2 | 130) ;;
    99) scontrol requeue "$task" ;;
    *) [ "${{SLURM_RESTART_COUNT:-0}}" -lt 10 ] && scontrol requeue "$task" ;;
esac
exit $code
"""


class Task(NamedTuple):
    """A task of a job array that has not ended."""

    array: str
    waits: bool
    reason: str  # why it waits


def script(options: Mapping[str, Any], workers: int, command: Sequence[str], logs: Path) -> str:
    """What sbatch is to run.

    Args:
        options: `hydra.launcher` of hydra/launcher=submitit_slurm; `python` is a command, and given.
        workers: tasks of the array.
        command: the command of a worker, without the interpreter.
        logs: absolute folder for what the tasks say: `<array>_<task>.log`.
    """
    flags: dict[str, Any] = {FLAGS.get(name, name): value for name, value in options.items() if name not in OURS}
    if flags.get("mem") is not None:
        flags["mem"] = f"{round(flags['mem'] * 1024)}M"
    flags["array"] = f"0-{workers - 1}%{min(workers, options.get('array_parallelism') or workers)}"
    flags |= {"output": f"{logs}/%A_%a.log", "open-mode": "append", "requeue": True}
    flags["signal"] = f"B:USR1@{options.get('signal_delay_s', 120)}"
    flags |= options.get("additional_parameters") or {}
    lines = ["#!/bin/bash"]
    for name, value in flags.items():
        if value is not None and value is not False:
            lines.append(
                f"#SBATCH --{name.replace('_', '-')}" + ("" if value is True else f"={shlex.quote(str(value))}")
            )
    lines += [
        f"cd {shlex.quote(str(Path.cwd()))} || exit 2",
        "export GACSNN_ARRAY=1 TQDM_DISABLE=1 PYTHONUNBUFFERED=1",
        "export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}}",
        *(options.get("setup") or []),
    ]
    words = [options["python"], shlex.join(command)]
    if options.get("use_srun", True):
        srun = ["srun", "--kill-on-bad-exit=0"]  # else one task that is done ends those beside it
        if options.get("cpus_per_task"):
            srun.append(f"--cpus-per-task={options['cpus_per_task']}")  # srun no longer asks sbatch, from 22.05 on
        words.insert(0, shlex.join([*srun, *(options.get("srun_args") or [])]))
    return "\n".join(lines) + "\n" + RUN.format(command=" ".join(words))


def check(text: str) -> None:
    """Ask SLURM whether it would take this.

    Raises:
        InputError: where it would not, or there is none.
        MachineError: when it does not answer.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            "hydra/launcher=submitit_slurm: there is no sbatch here; start the sweep where jobs are submitted"
        )
    tried = ask(["sbatch", "--test-only"], text)
    if tried.returncode:
        said = last_line(tried.stderr)
        if "contact" in said or "timed out" in said:
            raise MachineError(f"SLURM does not answer: {said}")
        raise InputError(f"hydra/launcher=submitit_slurm: SLURM would not take the jobs: {said}")


def submit(file: Path) -> str:
    """Submit a script. Returns the number of the job array.

    Raises:
        MachineError: when SLURM does not take it.
    """
    said = ask(["sbatch", "--parsable", str(file)])
    if said.returncode:
        raise MachineError(f"sbatch {file}: {last_line(said.stderr)}")
    return said.stdout.strip().split(";")[0]


def tasks_of(file: Path) -> list[Task] | None:
    """The tasks of this script that have not ended; None when SLURM does not answer just now."""
    said = ask(["squeue", "--me", "--noheader", "--array", "--format=%F|%T|%r|%o"])
    if said.returncode:
        return None
    rows = [line.split("|", 3) for line in said.stdout.splitlines()]
    return [Task(row[0], row[1] == "PENDING", row[2]) for row in rows if row[3] == str(file)]


def cancel(array: str, *flags: str) -> None:
    """End the tasks of a job array, or those that the flags of scancel choose."""
    ask(["scancel", *flags, array])


def ask(command: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    # In a session of its own: Ctrl-C is for us.
    try:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=120,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]} timed out: {error}")


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
