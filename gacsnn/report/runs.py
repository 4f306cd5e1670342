"""Run directories found in folders: what each says, and why one was left out."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gacsnn.config.schema import Config, Train
from gacsnn.errors import InputError
from gacsnn.runtime.files import TAKEN_OVER
from gacsnn.runtime.run_dir import Result, RunDirectory


@dataclass(frozen=True)
class Run:
    """A training that has ended: what was asked for, what came of it, and its epochs."""

    path: Path
    config: Config
    result: Result
    metrics: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class LeftOut:
    path: Path
    reason: str


def collect(folders: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """All runs in the folders, however deep, each once.

    Raises:
        InputError: when a folder is not there or is a run that cannot be read, or nothing in any of them is a run.
    """
    runs: dict[Path, Run | LeftOut] = {}
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"runs={folder}: no such folder")
        for path in run_directories(folder):
            if path == folder:
                check_readable(folder)
            if path.resolve() not in runs:
                runs[path.resolve()] = read(path)
    if not runs:
        raise InputError(f"runs={','.join(map(str, folders))}: no run directory in it (none holds a config.yaml)")
    found = runs.values()
    return [run for run in found if isinstance(run, Run)], [run for run in found if isinstance(run, LeftOut)]


def run_directories(folder: Path) -> Iterator[Path]:
    """Folders with a config.yaml; what lies in a run is not looked at."""
    for path, folders, files in os.walk(folder):
        folders.sort(key=lambda name: (len(name), name))  # trial 10 after trial 9
        if "config.yaml" in files:
            folders.clear()
            yield Path(path)


def check_readable(path: Path) -> None:
    """Raises InputError for a run that was named, and is damaged; one that was found in a folder is left out."""
    run_dir = RunDirectory(path)
    try:
        run_dir.read_config()
        run_dir.read_result()
        run_dir.read_metrics()
    except InputError as error:
        raise InputError(f"runs={path}: {error}") from None


def read(path: Path) -> Run | LeftOut:
    run_dir = RunDirectory(path)
    if (path / TAKEN_OVER).exists():
        return LeftOut(path, "taken over by another run")
    try:
        config, result, metrics = run_dir.read_config(), run_dir.read_result(), run_dir.read_metrics()
    except InputError as error:
        return LeftOut(path, str(error))
    if not isinstance(config.task, Train):
        return LeftOut(path, f"a measurement (task={config.task.name}), and no training")
    if result is None:
        return LeftOut(path, f"not finished: {len(metrics)} of {config.epochs} epochs")
    unknown = [name for name in ("params", "epochs", "selected_by") if result.get(name) is None]
    if missing := [*(name for name in ("top1", "validation_top1") if name not in result), *unknown]:
        return LeftOut(path, f"its result.json lacks {', '.join(missing)}")
    return Run(path, config, result, metrics)
