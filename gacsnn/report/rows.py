"""Runs that differ by nothing but their seed, as a row with means and standard deviations."""

import itertools
import math
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gacsnn.config.merge import MISSING, flat, identity
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config, Folder
from gacsnn.report.runs import Run

# The settings that `label_of` says, whose columns a table has anyway.
IN_LABEL = ("encoder.name", "T", "model.name", "model.width")


@dataclass(frozen=True)
class Stat:
    """A figure over seeds: n of them know it. `sd` is the sample's standard deviation (n - 1); nan for one seed."""

    mean: float
    sd: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.n == 1 else f"{self.mean:.2f} ± {self.sd:.2f}"


@dataclass(frozen=True)
class Row:
    """Runs of the same settings. `options` are all of them, with their defaults; `differs` those by which rows of the same
    data differ, but for what names a row anyway.
    """

    runs: Sequence[Run]
    settings: dict[str, Any]
    options: dict[str, Any]
    differs: dict[str, Any]

    @property
    def config(self) -> Config:
        return self.runs[0].config

    @property
    def n(self) -> int:
        """The number of different seeds."""
        return len({seed_of(run) for run in self.runs})

    def by_seed(self, name: str) -> dict[int, float]:
        """A key of `result.json` by seed: of several runs with one seed their mean, as these are no independent samples."""
        known = [(seed_of(run), run.result[name]) for run in self.runs if run.result.get(name) is not None]
        return mean_by_seed(known)

    def stat(self, name: str) -> Stat | None:
        """Of a key of `result.json`; None where no run knows it."""
        values = list(self.by_seed(name).values())
        if not values:
            return None
        # To the nearest of what doubles can tell: runs that agree have a deviation of 0, and not of 1e-15.
        return Stat(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values))


def mean_by_seed(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the mean of the values of each seed."""
    found: dict[int, list[float]] = {}
    for seed, value in values:
        found.setdefault(seed, []).append(value)
    return {seed: statistics.fmean(of_seed) for seed, of_seed in found.items()}


def repeated_seeds(row: Row) -> str:
    """`seed 3 ran 2 times; it counts once, as their mean`; "" if each seed ran once."""
    counts = Counter(map(seed_of, row.runs))
    again = [f"seed {seed} ran {count} times" for seed, count in sorted(counts.items()) if count > 1]
    counted = "it counts once, as their mean" if len(again) == 1 else "each counts once, as the mean of its runs"
    return f"{', '.join(again)}; {counted}" if again else ""


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """Runs grouped by everything but the seed, in the order of data set, network, encoder, T and settings."""
    groups: dict[str, tuple[dict[str, Any], list[Run]]] = {}
    for run in runs:
        settings = settings_of(run.config)
        groups.setdefault(repr(sorted(settings.items())), (settings, []))[1].append(run)
    made = [Row(sorted(found, key=seed_of), s, flat(to_dict(found[0].config)), {}) for s, found in groups.values()]
    made.sort(key=lambda row: (*label_of(row.config), repr(row.settings)))
    return [
        row for _, alike in itertools.groupby(made, lambda row: data_of(row.config)) for row in told_apart([*alike])
    ]


def told_apart(rows: Sequence[Row]) -> list[Row]:
    """Rows of the same data, with the settings that are not the same in all of them: T=2 and T=4 that were trained for other
    times are no comparison of T, and say so.
    """
    names = [name for name in varying(rows) if name not in IN_LABEL]
    return [replace(row, differs={name: value_of(row, name) for name in names}) for row in rows]


def seed_of(run: Run) -> int:
    return run.config.seed


def settings_of(config: Config) -> dict[str, Any]:
    """All that says what is run, but for the seed; and, for images in a folder, which folder: another may be other data."""
    settings = flat(identity(config))
    del settings["seed"]
    if isinstance(config.dataset, Folder):
        settings["dataset.root"] = os.path.normpath(config.dataset.root)
    return settings


def label_of(config: Config) -> tuple[str, str, str, int]:
    """What names a row in a published table: data, network, encoder, T."""
    return data_of(config), network_of(config), config.encoder.name, config.T


def data_of(config: Config) -> str:
    if config.dataset.name == "image_folder":
        return f"images in {Path(os.path.normpath(config.dataset.root)).name}/"
    return "synthetic data" if config.dataset.name == "synthetic" else config.dataset.name


def network_of(config: Config) -> str:
    name = config.model.name if config.model.stages is None else f"{config.model.name}, own stages"
    return name if config.model.width == 1 else f"{name} x{config.model.width:g}"


def varying(rows: Sequence[Row]) -> list[str]:
    """The settings that are not the same in all rows; but for those that only some choices of a group have, which follow it."""
    names = dict.fromkeys(name for row in rows for name in row.settings)
    found = [name for name in names if len({repr(value_of(row, name)) for row in rows}) > 1]
    chosen = {name.removesuffix("name") for name in found if name.endswith(".name")}
    return [
        name
        for name in found
        if name.rpartition(".")[0] + "." not in chosen
        or name.endswith(".name")
        or all(value_of(row, name) != MISSING for row in rows)
    ]


def value_of(row: Row, name: str) -> Any:
    """A setting; where it has its default, which `identity` leaves out, that."""
    return row.settings.get(name, row.options.get(name, MISSING))
