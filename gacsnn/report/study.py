"""A study, finished or running: a table in the terminal, `trials.csv`, figures, and one HTML page that needs no network.

Read from the storage that the sweep's `study.json` names, and from nothing else.
"""

import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.report import figures, html
from gacsnn.report.answers import ALIGN, HEADERS, Answer, answers
from gacsnn.report.confirmations import confirmations
from gacsnn.report.plan import taken_lines
from gacsnn.report.rows import Row, rows_of
from gacsnn.report.runs import Run, collect, read, run_directories
from gacsnn.report.seeds import best_row, mean_of, named, repeated, seed_table
from gacsnn.report.table import Align, numbers, text, write_csv
from gacsnn.runtime.console import duration, log
from gacsnn.runtime.files import write_text
from gacsnn.sweep.claims import TAKEN_FROM, effective_trials
from gacsnn.sweep.status import best_trials
from gacsnn.sweep.storage import load_study, run_of

MEANS = "by everything but the seed: mean ± standard deviation"


def show(folder: Path) -> dict[str, Any]:
    """Show the study of a sweep's folder; write `report/` into it. Returns its name, counts and best trials.

    A plain grid (`-m T=1,2`) has no study: its runs are shown, by everything but the seed.

    Raises:
        InputError: when there is no sweep in the folder, or its storage cannot be reached.
    """
    if folder.is_dir() and not (folder / "study.json").exists() and next(run_directories(folder), None):
        return show_grid(folder)
    study, objectives = load_study(folder)
    trials = effective_trials(study)
    best = best_trials(study)
    rows = [row(trial, objectives, trial.number in {b.number for b in best}) for trial in trials]
    names = columns(rows)
    importance = importances(study)
    report = folder / "report"
    report.mkdir(exist_ok=True)
    write_csv(report / "trials.csv", names, [[row.get(name) for name in names] for row in rows])
    drawn = draw_all(study, trials, objectives, importance, report)
    heading, table = describe(study, trials, objectives), trial_table(rows)
    shares = [(name, f"{share:.2f}") for name, share in importance.items()]
    by_seed = seed_rows(trials, folder)
    means = seed_table(by_seed) if by_seed else None
    page = html.render(
        "study.html", name=study.study_name, heading=heading, figures=drawn, shares=shares, trials=table, means=means
    )
    write_text(report / "study.html", page)
    lines = [*heading, "", *text(*table), ""]
    if means:
        lines += [MEANS, *text(*means), ""]
    lines += taken_lines(study, trials, folder)
    asked = answers(study, trials, objectives, folder)
    if asked:
        lines += claim_lines(asked)
    for where, confirmed in confirmations(study, folder):
        lines += [f"the best ones again, with fresh seeds ({where}); the test split is read of the winner alone"]
        lines += [*text(*confirmed), ""]
    if shares:
        lines += ["importance of the parameters (of what varies in the first objective)"]
        lines += [*text(shares, ["parameter", "share"], ["left", "right"]), ""]
    if by_seed and len(objectives) == 1:
        lines += best_mean(by_seed, objectives[0], study.directions[0] == optuna.study.StudyDirection.MAXIMIZE)
    elif not by_seed:
        lines += [f"best: trial {trial.number} -> {run_of(trial, folder)}" for trial in best]
    log.info("\n".join([*lines, "", f"figures and study.html in {report}"]))
    counts = {state.name: sum(trial.state == state for trial in trials) for state in TrialState}
    claims = [{"claim": str(answer.claim), "answer": answer.verdict} for answer in asked]
    return {"study": study.study_name, "trials": counts, "best": [trial.number for trial in best], "claims": claims}


def claim_lines(asked: list[Answer]) -> list[str]:
    """The claims and their answers, as a table and what it does not say."""
    together = ", tested together (Holm)" if len(asked) > 1 else ""
    notes = [f"- {note}" for answer in asked for note in answer.notes()]
    table = text([answer.cells() for answer in asked], HEADERS, ALIGN)
    return [f"claims, made before the first trial{together}; differences are seed by seed", *table, *notes, ""]


def seed_rows(trials: list[FrozenTrial], folder: Path) -> list[Row]:
    """The complete trials by everything but the seed; none, where no settings were run with several seeds."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and "run" in trial.user_attrs]
    if not any("seed" in trial.params for trial in complete):
        return []  # and thousands of run directories need not be read
    runs = [read(path) for path in dict.fromkeys(run_of(trial, folder) for trial in complete) if path.is_dir()]
    rows = rows_of(run for run in runs if isinstance(run, Run))
    return rows if repeated(rows) else []


def best_mean(rows: list[Row], objective: str, higher: bool) -> list[str]:
    """The settings with the best mean, said as such: one seed of them is no better than the others."""
    best = best_row(rows, objective, higher)
    if best is None or len(rows) == 1:
        return []
    return [f"best mean over seeds: {named(best, rows)}, {objective} {mean_of(best, objective)}, n={len(best.runs)}"]


def show_grid(folder: Path) -> dict[str, Any]:
    """The runs of a plain grid, which nobody has compared: means over seeds, and what was left out."""
    runs, left_out = collect([folder])
    rows = rows_of(runs)
    lines = [f"{folder}: a plain grid, of which {len(runs)} runs have ended", ""]
    if rows:
        lines += [MEANS, *text(*seed_table(rows)), ""]
    lines += [f"left out: {left.path}: {left.reason}" for left in left_out]
    log.info("\n".join([*lines, f"python launch.py task=table runs={folder} writes tables and curves of them"]))
    return {"study": None, "runs": len(runs), "left_out": len(left_out)}


def row(trial: FrozenTrial, objectives: list[str], best: bool) -> dict[str, Any]:
    """What is shown of a trial, by the words of its columns."""
    values = trial.values or ([trial.value] if trial.value is not None else [])
    reached = list(trial.intermediate_values.values())
    shown = dict(zip(objectives, values, strict=False)) or dict.fromkeys(objectives)
    if trial.state != TrialState.COMPLETE and reached and len(objectives) == 1:
        shown = {objectives[0]: reached[-1]}
    seconds = trial.duration.total_seconds() if trial.duration else None
    note = trial.user_attrs.get("reason", "")
    if "reused" in trial.user_attrs:
        note = f"taken from trial {trial.user_attrs['reused']}"
    elif TAKEN_FROM in trial.user_attrs:
        note, seconds = f"taken from {trial.user_attrs[TAKEN_FROM]}", None
    elif "retry_of" in trial.user_attrs and not note:
        note = f"went on with trial {trial.user_attrs['retry_of']}"
    return {
        "trial": trial.number,
        "state": trial.state.name,
        **trial.params,
        **shown,
        "epochs": trial.user_attrs.get("epochs"),
        "seconds": seconds,
        "best": "*" if best else "",
        "note": note,
    }


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter matters for the first objective; nothing where too little is known."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if len(complete) < 4 or len({trial.values[0] for trial in complete}) < 2:
        return {}
    low = -1 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1  # the evaluator wants low targets
    try:
        with warnings.catch_warnings(action="ignore"):  # which say that it does, and that it is new
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: low * trial.values[0]
            )
    except (RuntimeError, ValueError) as error:  # such as parameters without any variation
        log.info(f"importance of the parameters: {error}")
        return {}


def describe(study: optuna.Study, trials: list[FrozenTrial], objectives: list[str]) -> list[str]:
    counts = [f"{sum(t.state == s for t in trials)} {s.name}" for s in TrialState if any(t.state == s for t in trials)]
    wanted = [f"{o} {d.name.lower()}d" for o, d in zip(objectives, study.directions, strict=True)]
    return [f"study {study.study_name}: {', '.join(counts) or 'no trials yet'}", f"objective: {', '.join(wanted)}"]


def columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    tail = [name for name in ("epochs", "seconds", "best", "note") if name in names]
    return [name for name in names if name not in tail] + tail


def trial_table(rows: list[dict[str, Any]]) -> tuple[list[tuple[str, ...]], list[str], list[Align]]:
    """The trials as rows of cells, with the headers and the alignment of their columns."""
    names = columns(rows)
    made = [column(name, [row.get(name) for row in rows]) for name in names]
    return list(zip(*(cells for cells, _ in made), strict=True)), names, [align for _, align in made]


def column(name: str, values: list[Any]) -> tuple[list[str], Align]:
    known = [value for value in values if value is not None]
    if name == "seconds":
        return ["" if value is None else duration(value) for value in values], "right"
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return numbers(values), "right"
    return ["" if value is None else str(value) for value in values], "left"


def score(trial: FrozenTrial) -> float | None:
    """The first objective, or what was last reported of it."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None


def draw_all(
    study: optuna.Study, trials: list[FrozenTrial], objectives: list[str], importance: dict[str, float], folder: Path
) -> list[Path]:
    """Whichever of the figures this study has anything for."""
    scored = [(trial, value) for trial in trials if (value := score(trial)) is not None]
    if not scored:
        return []
    better = max if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else min
    drawn = {"history": lambda axes: figures.history(axes, scored, objectives[0], better)}
    with_T = [pair for pair in scored if "T" in pair[0].params]
    if with_T:
        drawn["t_accuracy"] = lambda axes: figures.t_accuracy(axes, with_T, objectives[0], better)
    with_lr = [pair for pair in scored if "optimizer.lr" in pair[0].params]
    if with_lr:
        drawn["lr_accuracy"] = lambda axes: figures.lr_accuracy(axes, with_lr, objectives[0])
    complete = [trial for trial, _ in scored if trial.state == TrialState.COMPLETE]
    if len(objectives) == 2 and complete:
        front = {trial.number for trial in study.best_trials}
        drawn["pareto"] = lambda axes: figures.pareto(axes, complete, front, objectives)
    if importance:
        drawn["importance"] = lambda axes: figures.importance_bars(axes, importance)
    return [figures.save(folder / f"{name}.png", draw) for name, draw in drawn.items()]
