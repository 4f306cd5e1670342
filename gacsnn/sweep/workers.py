"""Several workers on one machine: each its own GPU or its share of the cores, none outliving the sweep."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from gacsnn.errors import InputError
from gacsnn.runtime.console import write_line
from gacsnn.runtime.cores import share, visible_gpus
from gacsnn.runtime.signals import end_with_parent, held_back, requested, stop_if_requested

WORKER = "GACSNN_WORKER"  # environment of a worker process: its index, and the process that supervises it
ARRAY = "GACSNN_ARRAY"  # environment of a worker that a cluster started

# Seconds that workers get to end the step at work and to save; a trial of several processes takes up to 60 (`tasks/spawn.py`).
SAVING = 90.0


def sweep_worker() -> int | None:
    """The index of this worker process; None for the one that the user started."""
    return int(os.environ[WORKER].split("/")[0]) if WORKER in os.environ else None


def array_worker() -> bool:
    """Whether this process is a worker of a job array, which nobody on its machine supervises."""
    return ARRAY in os.environ


def is_orphaned() -> bool:
    """Whether this is a worker whose supervisor has ended before it, as after kill -9."""
    return WORKER in os.environ and os.getppid() != int(os.environ[WORKER].split("/")[1])


def end_with_supervisor() -> None:
    """For a worker: to end when its supervisor does, however that is."""
    end_with_parent(int(os.environ[WORKER].split("/")[1]))


def supervise(count: int, processes: int | str, watch: Callable[[], None], overrides: Sequence[str] = ()) -> None:
    """Run `count` workers, each on its own GPUs or its share of the cores, until there is nothing left to do.

    `processes` is how many share a trial, and have a GPU each; "gpus": as many as a worker's share of the GPUs.

    A worker that is killed is replaced; its trial is taken up from the last checkpoint. Ctrl-C and SIGTERM are passed on;
    when this process is killed the workers end, too. What they say comes through here, line by line. `watch` is called
    again and again, to show how far the study is. `overrides` are added to this command line for them.
    """
    gpus = gpus_of_workers(visible_gpus(), count, processes)
    workers = {index: Worker(index, count, gpus[index], overrides) for index in range(count)}
    ended: list[Worker] = []
    replaced = 0
    code = 0
    try:
        while workers:
            for index, worker in list(workers.items()):
                status = worker.process.poll()
                if status is None:
                    continue
                ended.append(workers.pop(index))
                if status < 0 and replaced < 10 * count:
                    replaced += 1
                    workers[index] = Worker(index, count, gpus[index], overrides)
                elif status != 0:
                    code = code or status
            watch()
            stop_if_requested()
            time.sleep(0.05)
    finally:
        stop([worker.process for worker in workers.values()], requested() or signal.SIGTERM)
        for worker in [*ended, *workers.values()]:
            worker.finish_relaying()
    if code:
        raise SystemExit(code)


def gpus_of_workers(gpus: list[str], count: int, processes: int | str) -> list[list[str]]:
    """Which GPUs each worker has; none, where there are none. Workers of one process may share one; others never overlap.

    Raises:
        InputError: when there are too few for that.
    """
    if processes == "gpus":
        return [share(gpus, index, count) if gpus else [] for index in range(count)]
    assert isinstance(processes, int)
    if gpus and processes > 1 and count * processes > len(gpus):
        raise InputError(
            f"hydra.sweeper.n_jobs={count} hardware.processes={processes}: each process needs a GPU of its own, and there are "
            f"{len(gpus)} here"
        )
    return [
        [gpus[(index * processes + each) % len(gpus)] for each in range(processes)] if gpus else []
        for index in range(count)
    ]


def stop(processes: list[subprocess.Popen[str]], number: int) -> None:
    """End processes by a signal, which they write down as the reason, and wait until they have saved."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
    end = time.monotonic() + SAVING
    for process in processes:
        try:
            process.wait(timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Worker:
    """One worker process, and the threads that pass on what it says."""

    def __init__(self, index: int, count: int, gpus: list[str], overrides: Sequence[str]) -> None:
        cores = share(sorted(os.sched_getaffinity(0)), index, count)
        environment = {**os.environ, WORKER: f"{index}/{os.getpid()}", "OMP_NUM_THREADS": str(len(cores))}
        environment["TQDM_DISABLE"] = "1"  # a bar is no line
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        # A session of its own, so that Ctrl-C reaches it once, through the supervisor.
        with held_back():
            self.process = subprocess.Popen(
                [sys.executable, *sys.argv, *overrides],
                env=environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(self.process.pid, cores)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        pipes = ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))
        self.threads = [threading.Thread(target=relay, args=pipe, daemon=True) for pipe in pipes]
        for thread in self.threads:
            thread.start()

    def finish_relaying(self) -> None:
        """Wait for its last lines; not for ever, because a process that it left may hold the pipe open."""
        for thread in self.threads:
            thread.join(timeout=30)


def relay(stream: TextIO, to: TextIO) -> None:
    """Pass on a worker's lines, each in one piece. Where nobody reads them any more, the worker is still not held up."""
    for line in stream:
        with contextlib.suppress(OSError, ValueError):
            write_line(line.removesuffix("\n"), to)
