"""A study, finished or running: a table in the terminal, `trials.csv`, figures as SVG, and one HTML page that needs no network.

Read from the storage that the sweep's `study.json` names, and from the run directories of its complete trials.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError
from gacsnn.report import trial_table
from gacsnn.report.answers import ALIGN, HEADERS, Answer, answers
from gacsnn.report.charts import charts_of
from gacsnn.report.confirmations import confirmations
from gacsnn.report.importance import Importance, importance_of
from gacsnn.report.pages import Section, plain
from gacsnn.report.plan import taken_lines
from gacsnn.report.rows import Row, rows_of
from gacsnn.report.runs import Run, collect, read, run_directories
from gacsnn.report.seeds import best_row, mean_of, named, repeated, seed_notes, seed_table
from gacsnn.report.study_page import run_pages, shown_storage, study_page
from gacsnn.report.svg import draw
from gacsnn.report.table import text, write_csv
from gacsnn.report.trial_table import INTERRUPTED, KILLED, STATES, state_of
from gacsnn.report.trials import tried
from gacsnn.report.words import word
from gacsnn.runtime.console import log
from gacsnn.runtime.files import write_text
from gacsnn.sweep.claims import ASKED, TAKEN_FROM, effective_trials
from gacsnn.sweep.status import best_trials, warn_of_missing_runs
from gacsnn.sweep.storage import load_study, run_of, runs_of

MEANS = "by everything but the seed: mean ± standard deviation"


def show(folder: Path) -> dict[str, Any]:
    """Show the study of a sweep's folder; write `report/` into it. Returns its name, counts and best trials.

    A plain grid (`-m T=1,2`) has no study: its runs are shown, by everything but the seed.

    Raises:
        InputError: when there is no sweep in the folder, or its storage cannot be reached.
    """
    if (folder / "config.yaml").exists():
        raise InputError(f"study={folder}: is a run, and no sweep; task=table runs={folder} shows it")
    if folder.is_dir() and not os.path.lexists(folder / "study.json") and next(run_directories(folder), None):
        return show_grid(folder)
    with without_collection():
        return show_study(folder)


@contextmanager
def without_collection() -> Iterator[None]:
    """Thousands of trials are millions of objects without cycles: looking for such takes longer than reading them."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def show_study(folder: Path) -> dict[str, Any]:
    study, objectives = load_study(folder)
    trials = effective_trials(study)
    warn_of_missing_runs(study, folder)
    best = best_trials(study)
    known = tried(trials, objectives, folder)
    by_seed = seed_rows(study, trials, folder)
    leading = set() if by_seed else {trial.number for trial in best}  # one seed is no better than the others
    rows = [trial_table.row(one, objectives, one.trial.number in leading) for one in known]
    names = trial_table.columns(rows)
    importance = importance_of(trials)
    report = folder / "report"
    report.mkdir(exist_ok=True)
    write_csv(report / "trials.csv", names, [[row.get(name) for name in names] for row in rows])
    higher = [direction == optuna.study.StudyDirection.MAXIMIZE for direction in study.directions]
    charts = charts_of(known, objectives, higher, by_seed)
    for chart in charts:
        write_text(report / f"{chart.name}.svg", draw(chart, alone=True))
    mean = best_mean(by_seed, objectives[0], higher[0]) if by_seed and len(objectives) == 1 else []
    asked = answers(study, trials, objectives, folder)
    again = [
        (f"the best ones again, with fresh seeds ({where}); the test split is read of the winner alone", table)
        for where, table in confirmations(study, folder)
    ]
    taken = taken_lines(study, trials, folder)
    pending = unfinished(study, trials)
    sections = [claim_section(asked, pending)] if asked else []
    sections += [Section(title[0].upper() + title[1:], plain(*table), []) for title, table in again]
    sections += [Section("Planned and taken", None, taken)] if taken else []
    page = study_page(
        study,
        shown_storage(folder),
        objectives,
        known,
        rows,
        best,
        by_seed,
        charts,
        importance,
        sections,
        run_pages(trials, folder),
    )
    write_text(report / "study.html", page)
    lines = [*describe(study, trials, objectives), "", *text(*trial_table.terminal(rows)), ""]
    if by_seed:
        lines += [*mean_lines(by_seed), ""]
    lines += [*taken, ""] if taken else []
    if asked:
        lines += claim_lines(asked, pending)
    for title, confirmed in again:
        lines += [title, *text(*confirmed), ""]
    if importance:
        lines += [*importance_lines(importance, objectives[0]), ""]
    lines += mean if by_seed else [f"best: trial {trial.number} -> {run_of(trial, folder)}" for trial in best]
    log.info("\n".join([*lines, "", f"figures and study.html in {report}"]))
    counts = {**dict.fromkeys((state.name for state in TrialState), 0), **Counter(map(state_of, trials))}
    claims = [{"claim": str(answer.claim), "answer": answer.verdict} for answer in asked]
    return {"study": study.study_name, "trials": counts, "best": [trial.number for trial in best], "claims": claims}


def claim_title(asked: list[Answer]) -> str:
    together = ", tested together (Holm)" if len(asked) > 1 else ""
    sides = "p: that they are above the margin (5 % supports), or below it (2.5 % refutes), as they lie"
    return f"claims, made before the first trial{together}; differences are seed by seed; {sides}"


def claim_notes(asked: list[Answer], pending: str) -> list[str]:
    """What the table of answers does not say: first of all that it is not the last word."""
    early = [f"the sweep is not at its end ({pending}): these are no answers yet, and seeds to come may change them"]
    return [*(early if pending else []), *(note for answer in asked for note in answer.notes())]


def claim_lines(asked: list[Answer], pending: str) -> list[str]:
    """The claims and their answers, as a table and what it does not say."""
    table = text([answer.cells() for answer in asked], HEADERS, ALIGN)
    return [claim_title(asked), *table, *(f"- {note}" for note in claim_notes(asked, pending)), ""]


def claim_section(asked: list[Answer], pending: str) -> Section:
    """The same for a page."""
    title = claim_title(asked)
    table = plain([answer.cells() for answer in asked], HEADERS, ALIGN)
    return Section(title[0].upper() + title[1:], table, claim_notes(asked, pending))


def unfinished(study: optuna.Study, trials: Sequence[FrozenTrial]) -> str:
    """`2 running, 3 not begun`; "" when nothing is known to be left."""
    states = Counter(state_of(trial) for trial in trials)
    asked = study.user_attrs.get(ASKED)  # which studies of earlier versions do not say
    left = {STATES[name]: states[name] for name in ("RUNNING", "WAITING", INTERRUPTED, KILLED)}
    left["not begun"] = (
        0 if asked is None else max(0, asked - len([t for t in trials if TAKEN_FROM not in t.user_attrs]))
    )
    return ", ".join(f"{count} {what}" for what, count in left.items() if count)


def seed_rows(study: optuna.Study, trials: Sequence[FrozenTrial], folder: Path) -> list[Row]:
    """The complete trials by everything but the seed; none, where no settings were run with several seeds."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and "run" in trial.user_attrs]
    repeats = study.user_attrs.get("identity", {}).get("repeats", 1)
    if repeats == 1 and not any("seed" in trial.params for trial in complete):
        return []  # and thousands of configs need not be read
    runs = [
        read(path)
        for path in dict.fromkeys(run for trial in complete for run in runs_of(trial, folder))
        if path.is_dir()
    ]
    rows = rows_of(run for run in runs if isinstance(run, Run))
    return rows if repeated(rows) else []


def mean_lines(rows: list[Row]) -> list[str]:
    return [MEANS, *text(*seed_table(rows)), *(f"- {note}" for note in seed_notes(rows))]


def best_mean(rows: list[Row], objective: str, higher: bool) -> list[str]:
    """The settings with the best mean, said as such: one seed of them is no better than the others."""
    best = best_row(rows, objective, higher)
    if best is None or len(rows) == 1:
        return []
    return [f"best mean over seeds: {named(best, rows)}, {objective} {mean_of(best, objective)}, n={best.n}"]


def show_grid(folder: Path) -> dict[str, Any]:
    """The runs of a plain grid, which nobody has compared: means over seeds, and what was left out."""
    runs, left_out = collect([folder])
    rows = rows_of(runs)
    lines = [f"{folder}: a plain grid, of which {len(runs)} runs have ended", ""]
    if rows:
        lines += [*mean_lines(rows), ""]
    lines += [f"left out: {left.path}: {left.reason}" for left in left_out]
    log.info("\n".join([*lines, f"python launch.py task=table runs={folder} writes tables and curves of them"]))
    return {"study": None, "runs": len(runs), "left_out": len(left_out)}


def importance_lines(importance: Importance, objective: str) -> list[str]:
    shares = [(name, f"{share:.2f}") for name, share in importance.shares.items()]
    table = text(shares, ["parameter", "share"], ["left", "right"]) if shares else []
    return ["importance of the parameters", *table, importance.said(word(objective))]


def describe(study: optuna.Study, trials: Sequence[FrozenTrial], objectives: Sequence[str]) -> list[str]:
    states = Counter(map(state_of, trials))
    counts = [
        f"{states[name]} {name}"
        for name in (*(state.name for state in TrialState), INTERRUPTED, KILLED)
        if states[name]
    ]
    counts += [f"of {asked} asked for"] if (asked := study.user_attrs.get(ASKED)) else []
    wanted = [f"{o} {d.name.lower()}d" for o, d in zip(objectives, study.directions, strict=True)]
    return [f"study {study.study_name}: {', '.join(counts) or 'no trials yet'}", f"objective: {', '.join(wanted)}"]
