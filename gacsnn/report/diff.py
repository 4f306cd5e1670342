"""In what two runs, two studies, or the rows of two folders of runs differ. Read from what was written; nothing is written."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from gacsnn.config.merge import MISSING, written
from gacsnn.errors import InputError
from gacsnn.report.compare import (
    Apart,
    Recorded,
    apart,
    circumstances_apart,
    figures,
    first_epoch_apart,
    options_apart,
    recorded,
)
from gacsnn.report.rows import Row, Stat, label_of, repeated_seeds, rows_of
from gacsnn.report.runs import Run, collect, run_directories
from gacsnn.report.table import Align, text
from gacsnn.runtime.console import log
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.statistics import interval, interval_between
from gacsnn.sweep.claims import effective_trials
from gacsnn.sweep.points import SEARCH_OF, in_words
from gacsnn.sweep.status import best_trials
from gacsnn.sweep.storage import load_study

# Figures whose means are compared row by row, and how many decimals they have.
OF_ROWS = {"top1": ".2f", "validation_top1": ".2f", "energy_mj": ".4g"}

# What is shown of a longer value, such as a list of layers.
WIDEST = 60


def show(folders: Sequence[Path]) -> dict[str, Any]:
    """Print in what the two folders differ. Returns how many differences of each kind were found.

    Raises:
        InputError: when they hold nothing that can be compared, or a run is to be compared with something else.
    """
    there, here = folders
    kinds = [kind(folder) for folder in folders]
    if there.resolve() == here.resolve():
        raise InputError(f"task=diff: runs=[{there},{here}]: the same folder twice")
    if kinds[0] != kinds[1] and "a run" in kinds:
        raise InputError(f"task=diff: {there} is {kinds[0]} and {here} is {kinds[1]}; give two of a kind")
    of_kind = {"a run": runs_apart, "a study": studies_apart}
    compare = of_kind[kinds[0]] if kinds[0] == kinds[1] and kinds[0] in of_kind else rows_apart
    lines, counts = compare(there, here)
    log.info("\n".join([f"A  {there}", f"B  {here}", "", *lines]))
    return counts


def kind(folder: Path) -> str:
    """Raises InputError when there is nothing in the folder that can be compared."""
    if not folder.is_dir():
        raise InputError(f"runs={folder}: no such folder")
    if (folder / "config.yaml").exists():
        return "a run"
    if (folder / "study.json").exists():
        return "a study"
    if next(run_directories(folder), None):
        return "a folder of runs"
    raise InputError(f"runs={folder}: neither a run nor a study, and no run directory in it")


def section(title: str, same: str, found: Apart, by: bool = False) -> list[str]:
    """A table of what differs, `by` how much where it is numbers; or that nothing does."""
    if not found:
        return [same, ""]
    headers, align = [title, "A", "B"], ["left", "right", "right"]
    rows = [[name, cell(a), cell(b)] for name, (a, b) in found.items()]
    if by:
        headers.append("B - A")
        align.append("right")
        rows = [[*row, difference(a, b)] for row, (a, b) in zip(rows, found.values(), strict=True)]
    columns: list[Align] = ["left" if each == "left" else "right" for each in align]
    return [*text(rows, headers, columns), ""]


def cell(given: Any) -> str:
    shown = "-" if given == MISSING else written(given)
    return shown if len(shown) <= WIDEST else f"{shown[:WIDEST]}..."


def difference(there: Any, here: Any) -> str:
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (there, here))
    return f"{here - there:+.3g}" if numbers else ""


# Two runs


def runs_apart(there: Path, here: Path) -> tuple[list[str], dict[str, Any]]:
    a, b = (recorded(RunDirectory(folder), "runs") for folder in (there, here))
    options = options_apart(a.config, b.config)
    made = {name: pair for name, pair in circumstances_apart(a, b).items() if name not in options}
    known = a.result is not None and b.result is not None
    results = apart(figures(a.result), figures(b.result)) if a.result is not None and b.result is not None else {}
    epoch = first_epoch_apart(a.metrics, b.metrics)
    lines = section("option", "the options are the same", options)
    if known:
        lines += section("result", "the results are the same", results, by=True)
    lines += [f"{name} is not finished: {progress(run)}" for name, run in (("A", a), ("B", b)) if run.result is None]
    lines += [] if known else ["no results to compare", ""]
    common = len({line["epoch"] for line in a.metrics} & {line["epoch"] for line in b.metrics})
    if epoch is not None:
        lines += section(f"epoch {epoch[0]}, the first that differs", "", epoch[1], by=True)
    elif common:
        lines += [f"the first {common} epochs are the same", ""]
    lines += section("made by", "commit, versions, machine, device and threads are the same", made)
    counts = {"options": len(options), "results": len(results), "made_by": len(made)}
    return lines[:-1], {**counts, "first_epoch": None if epoch is None else epoch[0]}


def progress(run: Recorded) -> str:
    return f"{len(run.metrics)} of {run.config.epochs} epochs"


# Two studies


def studies_apart(there: Path, here: Path) -> tuple[list[str], dict[str, Any]]:
    (a, of_a), (b, of_b) = load_study(there), load_study(here)
    identities = [study.user_attrs.get("identity", {}) for study in (a, b)]
    search = apart(described(a, of_a), described(b, of_b)) | apart(*(named(each, identities) for each in identities))
    progress = apart(counted(a), counted(b))
    best = apart(best_of(a, of_a), best_of(b, of_b))
    lines = section("search", "the same search: space, options and objectives", search)
    lines += section("trials", "as many trials of each state", progress, by=True)
    lines += section("best", "the best trials and their values are the same", best, by=True)
    return lines[:-1], {"search": len(search), "trials": len(progress), "best": len(best)}


def described(study: optuna.Study, objectives: Sequence[str]) -> dict[str, Any]:
    return {"objectives": [f"{o} {d.name.lower()}d" for o, d in zip(objectives, study.directions, strict=True)]}


def named(identity: Mapping[str, Any], both: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The identity with what it leaves out of the other's: options that it searches, or that are at their default."""
    names = {name for each in both for name in each if not name.startswith(SEARCH_OF)}
    left_out = {name: "searched" if f"{SEARCH_OF}{name}" in identity else "default" for name in sorted(names)}
    return left_out | in_words(identity)


def counted(study: optuna.Study) -> dict[str, int]:
    trials = effective_trials(study)
    return {state.name: sum(trial.state == state for trial in trials) for state in optuna.trial.TrialState}


def best_of(study: optuna.Study, objectives: Sequence[str]) -> dict[str, Any]:
    """The best trial, or the trials of the Pareto front, which are numbered along it."""
    best = best_trials(study)
    made: dict[str, Any] = {} if len(objectives) == 1 else {"on the Pareto front": len(best)}
    for place, trial in enumerate(best):
        prefix = "" if len(best) == 1 else f"{place + 1}: "
        made |= {f"{prefix}trial": f"{trial.number}", **{f"{prefix}{name}": v for name, v in trial.params.items()}}
        made |= {f"{prefix}{name}": v for name, v in zip(objectives, trial.values, strict=True)}
    return made


# Rows of two folders of runs


def rows_apart(there: Path, here: Path) -> tuple[list[str], dict[str, Any]]:
    (runs_a, left_a), (runs_b, left_b) = collect([there]), collect([here])
    paths = [{run.path.resolve() for run in runs} for runs in (runs_a, runs_b)]
    every = {run.path.resolve(): run for run in [*runs_a, *runs_b]}
    lines: list[str] = []
    cells: list[list[str]] = []
    alone = {"A": 0, "B": 0}
    for row in rows_of(every.values()):
        a, b = ([run for run in row.runs if run.path.resolve() in of] for of in paths)
        if a and b:
            cells += [line for name in OF_ROWS if (line := compared(row, a, b, name))]
        else:
            alone["A" if a else "B"] += 1
            lines.append(f"only in {'A' if a else 'B'}: {row_name(row)} (n={row.n})")
    both = len({line[0] for line in cells})
    if cells:
        headers = ["row", "figure", "A", "n", "B", "n", "B - A", "95 % interval", "by"]
        align: list[Align] = ["left", "left", "right", "right", "right", "right", "right", "right", "left"]
        lines = [*text(cells, headers, align), "", *lines]
        if all(line[6].strip("+-0.") == "" for line in cells) and not any(alone.values()):
            lines.append("the same rows with the same means")
    elif not lines:
        lines.append("no run has ended in either")
    lines += [f"left out: {left.path}: {left.reason}" for left in [*left_a, *left_b]]
    return lines, {"both": both, "only_in_a": alone["A"], "only_in_b": alone["B"]}


def row_name(row: Row) -> str:
    data, network, encoder, T = label_of(row.config)
    return " ".join([data, network, encoder, f"T={T}", *(f"{name}={v}" for name, v in row.differs.items())])


def compared(row: Row, there: Sequence[Run], here: Sequence[Run], name: str) -> list[str] | None:
    """A line of the table for one figure; None where one folder does not know it."""
    of_folder = [Row(runs, row.settings, row.options, {}) for runs in (there, here)]
    before, after = (each.by_seed(name) for each in of_folder)
    if not before or not after:
        return None
    a, b = list(before.values()), list(after.values())
    mean, (low, high), how = statistics.fmean(b) - statistics.fmean(a), interval_between(a, b), "Welch"
    if before.keys() == after.keys():
        (low, high), how = interval([value - before[seed] for seed, value in after.items()]), "seed by seed"
    again = any(repeated_seeds(each) for each in of_folder)
    remarks = [*(() if math.isnan(low) else (how,)), *(("a seed twice",) if again else ())]
    form = OF_ROWS[name]
    signed = f"+{form}"
    within = "" if math.isnan(low) else f"[{low:{signed}}, {high:{signed}}]"
    shown = [shape(each.stat(name), form) for each in of_folder]
    return [
        row_name(row),
        name,
        shown[0],
        str(len(a)),
        shown[1],
        str(len(b)),
        f"{mean:{signed}}",
        within,
        ", ".join(remarks),
    ]


def shape(stat: Stat | None, form: str) -> str:
    assert stat is not None
    return f"{stat.mean:{form}}" if stat.n == 1 else f"{stat.mean:{form}} ± {stat.sd:{form}}"
