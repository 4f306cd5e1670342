"""Faults done to real commands at seeded moments, and what must be whole after them: for tests and benchmarks/faults.py.

A moment is seeded as what is waited for (a save that has begun, say) and a delay drawn after it. Where a kill hit is told
from what it left: the run's files, and the bar that the run showed last.
"""

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import optuna
import torch
import yaml
from program import FOLDER, ROOT, SEARCH, SMALL, read_metrics, read_result, start
from studies import check_whole
from watched import PATIENCE, OnTerminal, children, finished, forks, has_begun, kill, marked, new_mark

# A run by two processes that takes seconds: its steps, its saves and its evaluations are all long enough to be hit.
RUN = (
    *("hardware=cpu", "hardware.threads=1", "hardware.processes=2", "model.width=0.05", "T=2", "epochs=3"),
    *("limit_train=128", "limit_eval=64", "batch_size=16", "augmentation=cutmix", "save_every_minutes=0.001"),
)
# What is waited for before a kill, and the longest delay after it.
AIMS = {"step": 0.3, "save": 0.002, "epoch's end": 0.01, "validation": 0.1, "test": 0.1}

# A trial of a storm: long enough to be hit at work.
EPOCHS = 12
STORM = ("-m", *SEARCH, f"epochs={EPOCHS}", "hydra.sweeper.n_jobs=2")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
MOMENTS = ("before launch.py", "before a save", "after a save", "at its end")
COMMANDS = {
    "run": (*SMALL, "output_dir=run"),
    "loaders": (*SMALL, "hardware.workers=2", "output_dir=run"),
    "group": (*SMALL, "hardware.processes=2", "output_dir=run"),
    "sweep": ("-m", *SEARCH, "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2"),
}
# The longest delay, in seconds, of a signal to a run with loaders, after the first of them starts.
AFTER_LOADERS = 1.0


# Runs


def check_files(run: Path) -> None:
    """Whatever bears a good name is whole."""
    for path in (run / "checkpoints").glob("*.pt"):
        torch.load(path, weights_only=True)
    for path in run.glob("*.json"):
        json.loads(path.read_text())
    for path in run.glob("*.yaml"):
        assert yaml.safe_load(path.read_text())
    metrics = run / "metrics.jsonl"
    for line in metrics.read_text().split("\n")[:-1] if metrics.exists() else []:
        json.loads(line)


def assert_same_weights(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        a, b = (torch.load(run / "checkpoints" / f"{name}.pt", weights_only=True)["model"] for run in (one, other))
        assert a.keys() == b.keys()
        assert [key for key in a if not torch.equal(a[key], b[key])] == [], f"{name}.pt is another"
    assert read_metrics(one) == read_metrics(other)


def hit(command: OnTerminal, run: Path) -> str:
    """What a run was at when it was killed."""
    bar, stands = command.bar()
    if list((run / "checkpoints").glob(".*.tmp")):
        return "save"
    if stands:
        return {"epoch": "step", "validating": "validation", "testing": "test"}[bar]
    return {"epoch": "epoch's end", "validating": "epoch's end", "testing": "end"}.get(bar, "start")


def aimed(aim: str, command: OnTerminal, run: Path) -> Callable[[], bool]:
    """Whether a run that goes on has reached what is aimed at."""
    metrics = run / "metrics.jsonl"
    before = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
    return {
        "step": lambda: command.bar() == ("epoch", True),
        "save": lambda: command.bar()[0] != "" and any((run / "checkpoints").glob(".*.tmp")),
        "epoch's end": lambda: metrics.exists() and metrics.read_bytes().count(b"\n") > before,
        "validation": lambda: command.bar() == ("validating", True),
        "test": lambda: command.bar() == ("testing", True),
    }[aim]


class Kill(NamedTuple):
    victim: str
    aim: str
    phase: str


def strike(command: OnTerminal, run: Path, aim: str, victim: str, generator: random.Random) -> Kill | None:
    """Kill a run by two processes at its aim, all of it or one of the two; None: it ended before."""
    reached, delay, rank = aimed(aim, command, run), generator.uniform(0, AIMS[aim]), generator.randrange(2)
    at = None
    while command.process.poll() is None:
        if at is None and reached():
            at = time.monotonic() + delay
        if at is not None and time.monotonic() >= at:
            break
        command.look()
        time.sleep(0.0005)
    members = children(command.process.pid)
    if len(members) < 2:
        command.wait()
        return None
    before = hit(command, run)  # where one is killed, the other goes on for a moment
    kill([command.process.pid, *members] if victim == "all" else [members[rank]])
    code = command.wait()
    phase = hit(command, run) if victim == "all" else before
    if victim != "all" and code == 0:
        return None  # it had done its work already
    if victim != "all":
        assert code == 1, command.said
        assert f"error: process {rank} was killed by SIGKILL" in command.said, command.said
    assert "Traceback" not in command.said, command.said
    check_files(run)
    return Kill(victim, aim, phase)


def undisturbed(folder: Path, *arguments: str) -> None:
    command = OnTerminal(folder, *arguments)
    assert command.wait(10 * PATIENCE) == 0, command.said


def killed_run(folder: Path, whole: Path, kills: Sequence[tuple[str, str]], generator: random.Random) -> Iterator[Kill]:
    """A run that is killed again and again (victim, aim), resumed each time, and to its end: it must be the whole one."""
    run = folder / "run"
    arguments = (*RUN, "output_dir=run")
    for victim, aim in kills:
        done = strike(OnTerminal(folder, *arguments), run, aim, victim, generator)
        if done is not None:
            yield done
        # Killed before its first save, a run is begun again by the same command.
        arguments = ("resume=run",) if any((run / "checkpoints").glob("last*.pt")) else arguments
    undisturbed(folder, *arguments)
    check_files(run)
    assert_same_weights(run, whole)
    one, other = read_result(run), read_result(whole)
    for name in ("top1", "loss", "validation_top1", "epochs", "steps", "config_hash", "selected_by"):
        assert one[name] == other[name], name
    assert not list((run / "checkpoints").glob(".*.tmp"))


# Sweeps


def epochs_done(study: Path) -> int:
    done = 0
    for path in study.glob("*/metrics.jsonl"):
        with suppress(OSError):  # renamed just now
            done += path.read_bytes().count(b"\n")
    return done


def storm(
    folder: Path, n_trials: int, kills: int, generator: random.Random, longest: float = 8.0
) -> tuple[Counter[str], optuna.Study]:
    """A sweep by two workers that is killed so often, and started again until it ends: who was killed how often, the study.

    A kill comes after a drawn delay, or earlier, when so much of the work is done that others would find none left.
    """
    victims: Counter[str] = Counter()
    plan = (["worker", "supervisor", "all"] * kills)[:kills]
    generator.shuffle(plan)
    code = None
    while code is None or code == -signal.SIGKILL:
        mark = new_mark()
        # Many kills come while torch is imported for a trial, which has finished no epoch then: by default it would be given up.
        asked = (*STORM, f"hydra.sweeper.n_trials={n_trials}", f"hydra.sweeper.max_retries={kills}")
        process = start(folder, *asked, before=("env", mark))
        while victims.total() < kills:
            at = time.monotonic() + generator.uniform(0, longest)
            share = n_trials * EPOCHS * (victims.total() + 1) / (kills + 1)
            victim, workers = plan[victims.total()], []
            while process.poll() is None:
                workers = children(process.pid)
                over = time.monotonic() >= at or epochs_done(folder / FOLDER) >= share
                if over and (workers or victim != "worker"):
                    break
                time.sleep(0.02)
            if process.poll() is not None:
                break
            generator.shuffle(workers)
            everyone = [process.pid, *marked(mark)]
            kill({"worker": workers[:1], "supervisor": [process.pid], "all": everyone}[victim])
            victims[victim] += 1
            if victim != "worker":
                break
        said = finished(process, mark, 20 * PATIENCE)
        code = process.returncode
        assert "Traceback" not in said, said
        assert code in (0, -signal.SIGKILL), said
    assert victims.total() == kills, f"the sweep ended after {victims}"
    study = check_whole(folder, n_trials, EPOCHS)
    results = (folder / FOLDER).glob("*/result.json")
    tested = [path.parent.name for path in results if read_result(path.parent)["top1"] is not None]
    assert tested == [str(min(trial.number for trial in study.best_trials))]
    return victims, study


def check_retried(folder: Path, study: optuna.Study, count: int, generator: random.Random) -> int:
    """So many of the retried trials at most have the weights of undisturbed runs with their parameters. Returns how many."""
    retried = [
        trial for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE]) if "retry_of" in trial.user_attrs
    ]
    chosen = generator.sample(retried, min(count, len(retried)))
    for trial in chosen:
        values = [f"{name}={value}" for name, value in trial.params.items()]
        run = f"undisturbed-{trial.number}"
        must_succeed(folder, *SMALL, f"epochs={EPOCHS}", *values, f"output_dir={run}")
        assert_same_weights(folder / FOLDER / trial.user_attrs["run"], folder / run)
    return len(chosen)


# Signals


def must_succeed(folder: Path, *arguments: str) -> None:
    """A command that is run in this process, where torch is imported already."""
    import launch

    before, said = sys.argv, io.StringIO()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        sys.argv = [str(ROOT / "launch.py"), *arguments]
        with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = launch.main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if code == 130:
        raise KeyboardInterrupt  # it was meant for us
    assert code == 0, said.getvalue()


def send(pid: int, number: signal.Signals) -> None:
    """As it comes: from a terminal to all that it started, from a scheduler or `kill` to the one process."""
    with suppress(ProcessLookupError):
        if number in (signal.SIGINT, signal.SIGHUP):
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def signalled(folder: Path, kind: str, numbers: Sequence[signal.Signals], at: float, gap: float) -> str:
    """Send a command one signal so many seconds after its start, or two with a gap, and see that it ends and goes on later.

    Where there are loaders, the seconds are counted from the start of the first: that moment would hardly be met by chance.
    Returns where it was: before Python had begun with launch.py, before or after its first save, or at its end.
    """
    arguments, run, first = COMMANDS[kind], folder / "run", numbers[0]
    mark = new_mark()
    process = start(folder, *arguments, before=("env", mark))
    while kind == "loaders" and process.poll() is None and not (has_begun(process.pid) and forks(process.pid)):
        time.sleep(0.001)
    with suppress(subprocess.TimeoutExpired):
        process.wait(at)
    began, ended = has_begun(process.pid), process.poll() is not None
    for number in numbers:
        if process.poll() is None:
            send(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(gap)
    said = finished(process, mark)
    codes = {99 if number == signal.SIGUSR1 else 128 + number for number in numbers}
    is_over = ended or (run / "result.json").exists() or "best: trial" in said
    accepted = codes | ({0} if is_over else set()) | (set() if began else {-number for number in numbers})
    assert process.returncode in accepted, f"exit code {process.returncode}, not one of {accepted}: {said}"
    if began or first != signal.SIGINT:
        assert "Traceback" not in said, said
        assert "Exception ignored" not in said, said
    saved = list((folder / FOLDER if kind == "sweep" else folder).glob("*/checkpoints/last.pt"))
    go_on(folder, kind, arguments)
    if is_over:
        return MOMENTS[3]
    return MOMENTS[2 if saved else 1 if began else 0]


def go_on(folder: Path, kind: str, arguments: Sequence[str]) -> None:
    """What was begun goes on to its end, in this process."""
    if kind == "sweep":
        must_succeed(folder, *arguments, "hydra.sweeper.n_jobs=1")
        check_whole(folder, 3)
        return
    begun = (folder / "run" / "checkpoints" / "last.pt").exists()
    again = ("resume=run",) if begun else arguments
    must_succeed(folder, *again, "hardware.processes=1")
    check_files(folder / "run")
    assert [line["epoch"] for line in read_metrics(folder / "run")] == [1, 2]
