"""Two runs beside each other: in which options, epochs, figures and circumstances they differ. From what was written alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gacsnn.config.merge import MISSING, flat, identity, naming, written
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config
from gacsnn.runtime.run_dir import Result, RunDirectory

# What differs, by name: the values of the first and of the second.
Apart = dict[str, tuple[Any, Any]]

# Keys of metrics.jsonl and result.json that are no result: how long it took, and what made it.
TIMES = ("seconds", "train_seconds", "images_per_second")
MADE_BY = (
    *("T", "dataset", "model", "encoder", "seed", "config_hash", "selected_by"),
    *("git_commit", "versions", "device", "machine", "precision", "kernels", "run_id", "data", "warnings"),
)

# Options that say nothing of a run but where it lies and how it was called.
WHEREABOUTS = ("output_dir", "resume", "rerun", "dataset.measured")

# What may explain other last bits: of result.json, and options that do not name a run.
CIRCUMSTANCES = ("git_commit", "versions", "device", "machine")
HARDWARE = ("device", "threads", "workers", "processes", "accumulate", "kernels", "cuda_graphs")


@dataclass(frozen=True)
class Recorded:
    """What a run directory says; `result` is None before the run's end."""

    path: Path
    config: Config
    result: Result | None
    metrics: Sequence[Mapping[str, Any]]


def recorded(run_dir: RunDirectory, option: str) -> Recorded:
    """Raises InputError, of which `option` is the first word, when there is no run or it is damaged."""
    run_dir.check_run(option)
    return Recorded(run_dir.path, run_dir.read_config(), run_dir.read_result(), run_dir.read_metrics())


def apart(there: Mapping[str, Any], here: Mapping[str, Any]) -> Apart:
    """Where two flat dictionaries differ; a key that one lacks is `missing` there."""
    pairs = {key: (there.get(key, MISSING), here.get(key, MISSING)) for key in {**there, **here}}
    return {key: (a, b) for key, (a, b) in pairs.items() if a != b}


def options_apart(there: Config, here: Config) -> Apart:
    """The options, defaults included, in which two configs differ. What was measured of the data is as good as not given."""
    found = [{k: v for k, v in flat(to_dict(config)).items() if k not in WHEREABOUTS} for config in (there, here)]
    for values, config in zip(found, (there, here), strict=True):
        values |= {f"dataset.{name}": None for name in config.dataset.measured}
    return apart(found[0], found[1])


def identity_apart(there: Config, here: Config) -> Apart:
    """Those of them that name a run; none, where the two have the same `config_hash`."""
    if identity(there) == identity(here):
        return {}
    named = naming(there) | naming(here)
    return {name: pair for name, pair in options_apart(there, here).items() if name in named}


def figures(result: Result) -> dict[str, Any]:
    """What of a `result.json` is a result."""
    return flat({key: value for key, value in result.items() if key not in (*TIMES, *MADE_BY)})


def figures_of_both(there: Result, here: Result) -> Apart:
    """The results of two `result.json`, be they the same or not. What one does not know, as an older version, is left out."""
    before, now = figures(there), figures(here)
    return {name: (before[name], now[name]) for name in before if name in now}


def first_epoch_apart(
    there: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]
) -> tuple[int, Apart] | None:
    """The first epoch that both have and whose lines of metrics.jsonl differ, times aside, and in what."""
    known = {line["epoch"]: line for line in there}
    for line in here:
        before = known.get(line["epoch"], line)
        names = [name for name in before if name in line and name not in TIMES]
        if found := {name: (before[name], line[name]) for name in names if before[name] != line[name]}:
            return line["epoch"], found
    return None


def circumstances_apart(there: Recorded, here: Recorded) -> Apart:
    """Commit, versions, device, machine, threads and processes, where they differ and both are known."""
    found = apart(circumstances(there), circumstances(here))
    return {key: (a, b) for key, (a, b) in found.items() if MISSING not in (a, b)}


def circumstances(run: Recorded) -> dict[str, Any]:
    known = {name: run.result[name] for name in CIRCUMSTANCES if name in run.result} if run.result else {}
    hardware = run.config.hardware.model_dump(mode="json")
    return flat(known) | {f"hardware.{name}": hardware[name] for name in HARDWARE}


def said(found: Apart, most: int | None = None, by: bool = False) -> str:
    """`top1 is 96.5 there and 96.25 here (-0.25), ...`: the first `most` of it; `by`: with how much it is."""
    shown = [
        f"{name} is {written(a)} there and {written(b)} here{change(a, b) if by else ''}"
        for name, (a, b) in found.items()
    ]
    return ", ".join([*shown[:most], *(["..."] if most is not None and len(shown) > most else [])])


def change(there: Any, here: Any) -> str:
    """` (+0.25)`, of two numbers."""
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (there, here))
    return f" ({here - there:+.3g})" if numbers else ""
