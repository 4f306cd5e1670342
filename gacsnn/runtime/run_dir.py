"""The run directory: all that a run writes, and the one way in which it is read.

config.yaml     what was run, enough to run it again
metrics.jsonl   a line per epoch
checkpoints/    last.pt after every epoch and every few minutes, best.pt by the validation split, older ones as last-1.pt, ...
tensorboard/    the same scalars for TensorBoard
energy.csv      firing rates, operations and energy of each layer
classes.csv     of a measurement: accuracy by class; confusion.csv: what was taken for what
result.json     written once, at the end
report.html     all of this to look at, after it
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gacsnn.config import text
from gacsnn.config.names import renamed
from gacsnn.config.saved import load, to_yaml
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.runtime.files import (
    TAKEN_OVER,
    check_name,
    check_ours,
    check_writable,
    kept,
    make_folder,
    may_write,
    naming,
    remove_temporaries,
    temporaries,
    write_text,
)

# What result.json holds, and what is called after each epoch with its line of metrics.jsonl.
Result = dict[str, Any]
OnEpochEnd = Callable[[Mapping[str, Any]], None]

LOCK = ".lock"


class RunDirectory:
    """`writes` is false in all but the first of several processes: there, what would be written is left out."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self.config_path = path / "config.yaml"
        self.metrics_path = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.pt"
        self.best = self.checkpoints / "best.pt"
        self.tensorboard = path / "tensorboard"
        self.result_path = path / "result.json"
        self.energy_path = path / "energy.csv"
        self.classes_path = path / "classes.csv"
        self.confusion_path = path / "confusion.csv"
        self.page_path = path / "report.html"

    # Reading

    def read_config(self) -> Config:
        """Raises InputError when it is missing, damaged, or of a later version."""
        return load(self.config_path)

    def read_result(self) -> Result | None:
        """What result.json holds, under today's names; None before the run's end.

        Raises:
            InputError: when the file is damaged.
        """
        if not os.path.lexists(self.result_path):
            return None
        what = "a run's result as JSON"
        result = text.read_json(self.result_path, what)
        if not as_kept(result):
            raise InputError(f"{self.result_path} is damaged: it should be {what}")
        return renamed(result, "pictures", "images")

    def check_result(self) -> None:
        """Raises InputError when there is a result, and it lacks what every one has."""
        result = self.read_result()
        missing = [] if result is None else [name for name in (*FIGURES, *WORDS) if name not in result]
        if missing:
            raise InputError(f"{self.result_path} is damaged: it lacks {', '.join(missing[:3])}")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, without one that was being written when the process was killed.

        A figure that is null is left out of its line, as one that was not measured.

        Raises:
            InputError: when the file is damaged.
        """
        lines = [metrics for _text, metrics in metrics_lines(self.metrics_path)]
        return [{name: value for name, value in line.items() if value is not None} for line in lines]

    def saved(self) -> list[Path]:
        """The checkpoints to go on from, the newest first."""
        return kept(self.last)

    def check_there(self, option: str) -> None:
        """Raises InputError when there is no such folder, or the run in it has gone on in another."""
        check_name(option, self.path)
        if not self.path.is_dir():
            raise InputError(f"{option}={self.path}: no such run directory")
        if (self.path / TAKEN_OVER).exists():
            by = (self.path / TAKEN_OVER).read_text()
            raise InputError(f"{option}={self.path}: {by} has taken this run over; give that one")

    def check_run(self, option: str) -> None:
        """Raises InputError when there is no run here to read."""
        self.check_there(option)
        if not self.config_path.exists():
            raise InputError(f"{option}={self.path}: no {self.config_path.name} in it, so it is no run directory")

    def check_resumable(self) -> None:
        """Find out, writing nothing, whether there is a run here to go on with.

        Raises:
            InputError: when there is not.
        """
        self.check_there("resume")
        for file, there in ((self.config_path, self.config_path.exists()), (self.last, self.saved())):
            if not there:
                name = file.relative_to(self.path)
                raise InputError(f"resume={self.path}: no {name} in it, so there is nothing to go on with")
        self.read_metrics()
        self.check_result()
        for file in (self.path / LOCK, *self.saved()):
            if os.path.lexists(file) and not file.is_file():
                raise InputError(f"resume={self.path}: {file} should be a file")
        for folder in (self.path, self.checkpoints):
            if not may_write(folder):
                raise InputError(f"resume={folder}: cannot be written (no permission)")

    # Writing

    @contextmanager
    def lock(self, option: str, patience: float = 0.0) -> Iterator[None]:
        """Keep other processes from writing here meanwhile. The lock goes when the process does, however it ends.
        The holder first removes the temporary files of killed processes.
        Raises:
            InputError: when another process holds it, and still does after so many seconds.
        """
        if not self.writes:
            yield
            return
        lock = FileLock(self.path / LOCK, timeout=patience)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"{option}={self.path}: another process is writing this run; wait for it or stop it"
            ) from None
        try:
            remove_temporaries(self.path)
            remove_temporaries(self.checkpoints)
            yield
        finally:
            lock.release()

    def write_config(self, config: Config) -> None:
        if self.writes:
            write_text(self.config_path, to_yaml(config))

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        if not self.writes:
            return
        check_ours(self.path)
        with naming(self.metrics_path), self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(text.to_json(line) + "\n")

    def truncate_after(self, epoch: int) -> None:
        """Drop the result, and what is there of epochs that the checkpoint does not hold.

        There are such where the run was killed between the two writes, and where an older checkpoint had to be used.
        """
        if not self.writes:
            return
        remaining = "".join(line for line, metrics in metrics_lines(self.metrics_path) if metrics["epoch"] <= epoch)
        self.result_path.unlink(missing_ok=True)
        self.page_path.unlink(missing_ok=True)
        remove_temporaries(self.checkpoints)
        if epoch == 0:
            for best in kept(self.best):
                best.unlink()
        if self.metrics_path.exists() and remaining != text.read(self.metrics_path, "metrics"):
            write_text(self.metrics_path, remaining)

    def write_result(self, result: Mapping[str, Any]) -> None:
        if self.writes:
            write_text(self.result_path, text.to_json(result, indent=2) + "\n")
            self.page_path.unlink(missing_ok=True)  # it shows an earlier result


def remove_leftovers(run_dir: RunDirectory) -> None:
    """Remove the temporary files of killed processes, but not while a living process holds the lock."""
    if any(temporaries(run_dir.path)) or any(temporaries(run_dir.checkpoints)):
        with suppress(InputError, OSError), run_dir.lock("output_dir"):
            pass


# What every result holds: figures, some of which are null in some runs, and words.
FIGURES = ("top1", "loss", "firing_rate", "energy_mj", "params", "epochs", "steps", "train_seconds", "validation_top1")
WORDS = ("split", "dataset", "model", "encoder", "selected_by")


def as_kept(result: Any) -> bool:
    """Whether what a result.json holds could be a result, whole or of a kind that lacks something."""
    if not isinstance(result, dict) or not result:
        return False
    numbers = all(isinstance(result.get(name), int | float | None) for name in FIGURES)
    return numbers and all(isinstance(result.get(name, ""), str) for name in WORDS)


def metrics_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The whole lines of metrics.jsonl, with what they hold. Raises InputError when the file is damaged."""
    if not os.path.lexists(path):
        return []
    content = text.read(path, "metrics")
    whole = [line + "\n" for line in content.split("\n")[:-1]]
    try:
        lines = [(line, text.from_json(line)) for line in whole]
        epochs = [metrics["epoch"] for _text, metrics in lines]
        if not all(type(epoch) is int for epoch in epochs):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path} is damaged: each line should be an epoch's metrics as JSON") from None
    for before, epoch in itertools.pairwise(epochs):
        if epoch <= before:
            raise InputError(
                f"{path} is damaged: a line of epoch {epoch} follows that of epoch {before}; remove the one that is wrong"
            )
    return lines


def missing_epochs(metrics: Sequence[Mapping[str, Any]], done: int) -> str | None:
    """Return the epochs up to `done` that have no line in metrics.jsonl, such as "epochs 2, 5", or None."""
    missing = sorted(set(range(1, done + 1)) - {line["epoch"] for line in metrics})
    shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    return f"epoch{'s' if len(missing) > 1 else ''} {shown}" if missing else None


def check_new_directory(output_dir: str | None) -> None:
    """Find out before any work whether a new run can be written. Nothing is made yet.

    Raises:
        InputError: when a run lies there already, or nothing can be written there.
    """
    path = Path(output_dir if output_dir is not None else "outputs")
    check_name("output_dir", path)
    if RunDirectory(path).saved():
        raise InputError(f"output_dir={path}: holds a run already; resume={path} goes on with it")
    if output_dir is not None and (there := would_be_replaced(RunDirectory(path))):
        raise InputError(f"output_dir={path}: {there} is there already and would be replaced; give another folder")
    check_writable("output_dir", path)


def would_be_replaced(run_dir: RunDirectory) -> str | None:
    """What a new run would write over: a result, or anything that no run which ended before its first checkpoint left."""
    results = (
        run_dir.result_path,
        run_dir.page_path,
        run_dir.energy_path,
        run_dir.classes_path,
        run_dir.confusion_path,
    )
    begun = (run_dir.config_path, run_dir.metrics_path, run_dir.checkpoints, run_dir.tensorboard, run_dir.path / LOCK)
    there = [path.name for path in results if os.path.lexists(path)]
    if there:
        return there[0]
    if not any(os.path.lexists(path) for path in begun):
        return None
    try:
        run_dir.read_config()
        run_dir.read_metrics()
    except (InputError, FileNotFoundError):
        files = [path for path in begun if path.is_file() and path.name != LOCK]
        folders = [path for path in begun if path.is_dir() and any(path.iterdir())]
        return next((path.name for path in (*files, *folders)), None)
    return None


def make_directory(output_dir: str | None, name: str) -> RunDirectory:
    """Make the folder that is given, or a dated one that no other run has: outputs/<date>/<time>-<name>.

    Raises:
        InputError: if it cannot be made.
        OSError: if the disk is full or fails.
    """
    if output_dir is not None:
        make_folder("output_dir", Path(output_dir))
        make_folder("output_dir", Path(output_dir) / "checkpoints")
        return RunDirectory(Path(output_dir))
    now = datetime.now()
    path = dated = Path("outputs") / f"{now:%Y-%m-%d}" / f"{now:%H%M%S}-{name}"
    make_folder("output_dir", dated.parent)
    for count in itertools.count(2):
        try:
            path.mkdir()
            break
        except FileExistsError:
            path = dated.with_name(f"{dated.name}-{count}")
    (path / "checkpoints").mkdir()
    return RunDirectory(path)
