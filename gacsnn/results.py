"""The run directory: all that a run writes, and where it came from.

config.yaml     what was run, enough to run it again
metrics.jsonl   a line an epoch
checkpoints/    last.pt after every epoch, best.pt by the validation split
tensorboard/    the same scalars for TensorBoard
energy.csv      firing rates, operations and energy of each layer; firing_rates.png shows the rates
result.json     written once, at the end
"""

import itertools
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gacsnn.config import Config, config_hash, to_yaml
from gacsnn.errors import InputError
from gacsnn.files import write_text
from gacsnn.hardware import Machine


class RunDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.pt"
        self.best = self.checkpoints / "best.pt"
        self.tensorboard = path / "tensorboard"
        self.result = path / "result.json"
        self.energy = path / "energy.csv"
        self.firing_rates = path / "firing_rates.png"

    def check_resumable(self) -> None:
        """Find out, writing nothing, whether there is a run here to go on with.

        Raises:
            InputError: when there is not.
        """
        if not self.path.is_dir():
            raise InputError(f"resume={self.path}: no such run directory")
        for file in (self.config, self.last, self.best):
            if not file.exists():
                name = file.relative_to(self.path)
                raise InputError(f"resume={self.path}: no {name} in it, so there is nothing to go on with")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise InputError(f"resume={self.path}: cannot be written (no permission)")

    @contextmanager
    def held(self, option: str) -> Iterator[None]:
        """Keep other processes from writing here meanwhile. The lock goes when the process does, however it ends.

        Raises:
            InputError: when another process holds it.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"{option}={self.path}: another process is writing this run; wait for it or stop it"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def write_config(self, config: Config) -> None:
        write_text(self.config, to_yaml(config))

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def forget_after(self, epoch: int) -> None:
        """Drop the result, and the metrics of epochs that the checkpoint does not hold.

        There are such where the run was killed between the two writes.
        """
        self.result.unlink(missing_ok=True)
        if not self.metrics.exists():
            return
        lines = self.metrics.read_text().splitlines(keepends=True)
        try:
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["epoch"] <= epoch]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.metrics} is damaged: each line should be an epoch's metrics as JSON") from None
        if kept != lines:
            write_text(self.metrics, "".join(kept))

    def write_result(self, result: Mapping[str, Any]) -> None:
        write_text(self.result, json.dumps(result, indent=2) + "\n")


def check_new_directory(asked: str | None) -> None:
    """Find out before any work whether a new run can be written. Nothing is made yet.

    Raises:
        InputError: when a run lies there already, or nothing can be written there.
    """
    path = Path(asked if asked is not None else "outputs")
    if (path / "checkpoints" / "last.pt").exists():
        raise InputError(f"output_dir={path}: holds a run already; resume={path} goes on with it")
    ancestor = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
    if not ancestor.is_dir():
        raise unwritable(path, f"{ancestor} is a file")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise unwritable(path, "no permission")


def make_directory(asked: str | None, name: str) -> RunDirectory:
    """Make the folder asked for, or a dated one that no other run has: outputs/<date>/<time>-<name>.

    Raises:
        InputError: when it cannot be made.
    """
    now = datetime.now()
    dated = Path("outputs") / f"{now:%Y-%m-%d}" / f"{now:%H%M%S}-{name}"
    path = Path(asked) if asked is not None else dated
    for count in itertools.count(2):
        try:
            path.mkdir(parents=True, exist_ok=asked is not None)
            (path / "checkpoints").mkdir(exist_ok=True)
            return RunDirectory(path)
        except FileExistsError:
            if asked is not None:
                raise unwritable(path, "there is a file of that name") from None
            path = dated.with_name(f"{dated.name}-{count}")
        except OSError as error:
            raise unwritable(path, error.strerror or str(error)) from None
    raise AssertionError


def unwritable(path: Path, reason: str) -> InputError:
    return InputError(f"output_dir={path}: cannot be written ({reason}); give another folder")


def provenance(config: Config, machine: Machine) -> dict[str, Any]:
    """Which config, commit, seed and machine made a result."""
    return {
        "T": config.T,
        "dataset": config.dataset.name,
        "model": config.model.name,
        "encoder": config.encoder.name,
        "seed": config.seed,
        "config_hash": config_hash(config),
        "git_commit": git_commit(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("gacsnn", "torch", "torchvision", "hydra-core")},
        },
        "device": machine.describe(),
        "machine": f"{platform.node()}, {platform.platform()}, {os.cpu_count()} cores",
        "precision": config.hardware.precision,
    }


def git_commit() -> str | None:
    """The commit of the package's own source, with `-dirty` when files differ from it; None outside a repository."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
