"""Several workers on one machine: each its own GPU or its share of the cores, none outliving the sweep."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from gacsnn.runtime.console import write_line
from gacsnn.runtime.signals import end_with_parent

WORKER = "GACSNN_WORKER"  # environment of a worker process: its index, and how many there are


def sweep_worker() -> tuple[int | None, int]:
    """(index, count) of this worker process; (None, 1) for the one that the user started."""
    if WORKER not in os.environ:
        return None, 1
    index, count = os.environ[WORKER].split("/")
    return int(index), int(count)


def supervise(count: int, watch: Callable[[], None]) -> None:
    """Run `count` workers, each on its own GPU or its share of the cores, until there is nothing left to do.

    A worker that is killed is replaced; its trial is taken up from the last checkpoint. Ctrl-C and SIGTERM are passed on;
    when this process is killed the workers end, too. What they say comes through here, line by line. `watch` is called
    again and again, to show how far the study is.
    """
    workers = {index: start_worker(index, count) for index in range(count)}
    replaced = 0
    code = 0
    try:
        while workers:
            for index, process in list(workers.items()):
                status = process.poll()
                if status is None:
                    continue
                del workers[index]
                if status < 0 and replaced < 10 * count:
                    replaced += 1
                    workers[index] = start_worker(index, count)
                elif status != 0:
                    code = code or status
            watch()
            time.sleep(0.05)
    finally:
        stop(list(workers.values()))
    if code:
        raise SystemExit(code)


def stop(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_worker(index: int, count: int) -> subprocess.Popen[str]:
    cores = share(sorted(os.sched_getaffinity(0)), index, count)
    gpus = visible_gpus()
    environment = {**os.environ, WORKER: f"{index}/{count}", "OMP_NUM_THREADS": str(len(cores))}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]

    def begin() -> None:
        os.sched_setaffinity(0, cores)
        end_with_parent()

    # A session of its own, so that Ctrl-C reaches it once, through the supervisor.
    process = subprocess.Popen(
        [sys.executable, *sys.argv],
        env=environment,
        preexec_fn=begin,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for stream, to in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
        threading.Thread(target=relay, args=(stream, to), name=f"worker {index}", daemon=True).start()
    return process


def relay(stream: TextIO, to: TextIO) -> None:
    """Pass on a worker's lines, each in one piece. Where nobody reads them any more, the worker is still not held up."""
    for line in stream:
        with contextlib.suppress(OSError, ValueError):
            write_line(line.removesuffix("\n"), to)


def share(cores: list[int], index: int, count: int) -> list[int]:
    """The cores of one worker: consecutive ones, as evenly as they go; one of them, where workers are more than cores."""
    if count >= len(cores):
        return [cores[index % len(cores)]]
    return cores[index * len(cores) // count : (index + 1) * len(cores) // count]


def visible_gpus() -> list[str]:
    """The GPUs of this machine as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    found = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index in range(len(list(found.iterdir())))] if found.is_dir() else []
