"""A study, finished or running: a table in the terminal, `trials.csv`, pictures, and one HTML page that needs no network.

Read from the storage that the sweep's `study.json` names, and from nothing else. Neither trains nor imports torch.
"""

import base64
import csv
import html
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError
from gacsnn.runtime.console import duration, log
from gacsnn.runtime.files import write_text, write_whole
from gacsnn.sweep.claims import effective_trials
from gacsnn.sweep.storage import open_storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"COMPLETE": "tab:blue", "PRUNED": "tab:orange", "FAIL": "tab:red", "RUNNING": "tab:green"}


def show(folder: Path) -> dict[str, Any]:
    """Show the study of a sweep's folder; write `report/` into it. Returns its name, counts and best trials.

    Raises:
        InputError: when there is no sweep in the folder, or its storage cannot be reached.
    """
    study, objectives = load(folder)
    trials = effective_trials(study)
    best = study.best_trials if any(trial.state == TrialState.COMPLETE for trial in trials) else []
    rows = [row(trial, objectives, trial.number in {b.number for b in best}) for trial in trials]
    importance = importances(study)
    report = folder / "report"
    report.mkdir(exist_ok=True)
    write_csv(rows, report / "trials.csv")
    pictures = draw_all(study, trials, objectives, importance, report)
    lines = [*describe(study, trials, objectives), "", *table(rows)]
    lines += ["", "importance of the parameters (of what varies in the first objective)"] if importance else []
    lines += [f"  {name:<16} {value:.2f}" for name, value in importance.items()]
    for trial in best:
        lines.append(f"best: trial {trial.number} -> {trial.user_attrs.get('run')}")
    write_text(report / "study.html", page(study.study_name, lines[:2], rows, importance, pictures))
    log.info("\n".join([*lines, "", f"pictures and study.html in {report}"]))
    counts = {state.name: sum(trial.state == state for trial in trials) for state in TrialState}
    return {"study": study.study_name, "trials": counts, "best": [trial.number for trial in best]}


def load(folder: Path) -> tuple[optuna.Study, list[str]]:
    try:
        about = json.loads((folder / "study.json").read_text())
    except (OSError, ValueError):
        raise InputError(f"study={folder}: no sweep in this folder (it holds no study.json)") from None
    try:
        study = optuna.load_study(study_name=about["study"], storage=open_storage(about["storage"]))
    except KeyError:
        raise InputError(f"study={folder}: the storage {about['storage']} has no study {about['study']}") from None
    return study, about["objectives"]


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


def cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    tail = [name for name in ("epochs", "seconds", "best", "note") if name in names]
    return [name for name in names if name not in tail] + tail


def table(rows: list[dict[str, Any]]) -> list[str]:
    names = columns(rows)
    cells = [names] + [
        [duration(row[n]) if n == "seconds" and row.get(n) is not None else cell(row.get(n)) for n in names]
        for row in rows
    ]
    widths = [max(len(line[index]) for line in cells) for index in range(len(names))]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


# Pictures


def draw_all(
    study: optuna.Study, trials: list[FrozenTrial], objectives: list[str], importance: dict[str, float], folder: Path
) -> list[Path]:
    """Whichever of the pictures this study has anything for."""
    seen = [trial for trial in trials if score(trial) is not None]
    if not seen:
        return []
    drawn = [picture(folder / "history.png", lambda axes: history(axes, seen, study, objectives[0]))]
    if any("T" in trial.params for trial in seen):
        drawn.append(picture(folder / "t_accuracy.png", lambda axes: t_accuracy(axes, seen, objectives[0])))
    if any("optimizer.lr" in trial.params for trial in seen):
        drawn.append(picture(folder / "lr_accuracy.png", lambda axes: lr_accuracy(axes, seen, objectives[0])))
    if len(objectives) == 2:
        drawn.append(picture(folder / "pareto.png", lambda axes: pareto(axes, seen, study, objectives)))
    if importance:
        drawn.append(picture(folder / "importance.png", lambda axes: bars(axes, importance)))
    return drawn


def picture(path: Path, draw: "Callable[[Axes], None]") -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))
    return path


def score(trial: FrozenTrial) -> float | None:
    """The first objective, or what was last reported of it."""
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None


def history(axes: "Axes", trials: list[FrozenTrial], study: optuna.Study, objective: str) -> None:
    for state, colour in COLOURS.items():
        shown = [trial for trial in trials if trial.state.name == state]
        if shown:
            axes.scatter([t.number for t in shown], [score(t) for t in shown], color=colour, label=state.lower(), s=24)
    better = max if study.directions[0].name == "MAXIMIZE" else min
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if complete:
        best, numbers, reached = None, [], []
        for trial in complete:
            best = trial.values[0] if best is None else better(best, trial.values[0])
            numbers.append(trial.number)
            reached.append(best)
        axes.step(numbers, reached, where="post", color="tab:gray", label="best so far")
    axes.set(xlabel="trial", ylabel=objective, title="History")
    axes.legend()


def t_accuracy(axes: "Axes", trials: list[FrozenTrial], objective: str) -> None:
    shown = [trial for trial in trials if "T" in trial.params]
    values = sorted({trial.params["T"] for trial in shown}, key=float)
    for trial in shown:
        axes.scatter(values.index(trial.params["T"]), score(trial), color=COLOURS[trial.state.name], s=20, alpha=0.7)
    complete = [trial for trial in shown if trial.state == TrialState.COMPLETE]
    known = [value for value in values if any(trial.params["T"] == value for trial in complete)]
    top = [max(trial.values[0] for trial in complete if trial.params["T"] == value) for value in known]
    axes.plot([values.index(value) for value in known], top, color="tab:blue", label="best of each T")
    axes.set_xticks(range(len(values)), [str(value) for value in values])
    axes.set(xlabel="T (time steps)", ylabel=objective, title="T against accuracy")
    if known:
        axes.legend()


def lr_accuracy(axes: "Axes", trials: list[FrozenTrial], objective: str) -> None:
    shown = [trial for trial in trials if "optimizer.lr" in trial.params]
    for value in sorted({trial.params.get("T", "") for trial in shown}, key=str):
        same = sorted(
            (trial for trial in shown if trial.params.get("T", "") == value),
            key=lambda t: float(t.params["optimizer.lr"]),
        )
        rates, scores = [float(t.params["optimizer.lr"]) for t in same], [score(t) for t in same]
        axes.plot(rates, scores, marker="o", label=f"T={value}" if value != "" else None, linewidth=1, markersize=4)
    axes.set_xscale("log")
    axes.set(xlabel="learning rate", ylabel=objective, title="Learning rate against accuracy")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def pareto(axes: "Axes", trials: list[FrozenTrial], study: optuna.Study, objectives: list[str]) -> None:
    front = {trial.number for trial in study.best_trials}
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    for trial in complete:
        axes.scatter(trial.values[1], trial.values[0], color="tab:red" if trial.number in front else "tab:gray", s=24)
    best = sorted((trial for trial in complete if trial.number in front), key=lambda trial: trial.values[1])
    axes.step([t.values[1] for t in best], [t.values[0] for t in best], where="post", color="tab:red", label="front")
    for trial in best:
        if "T" in trial.params:
            place = (trial.values[1], trial.values[0])
            axes.annotate(f"T={trial.params['T']}", place, textcoords="offset points", xytext=(4, -10), fontsize=8)
    axes.set(xlabel=objectives[1], ylabel=objectives[0], title="Pareto front")
    axes.legend()


def bars(axes: "Axes", importance: dict[str, float]) -> None:
    names = list(reversed(importance))
    axes.barh(names, [importance[name] for name in names])
    axes.set(xlabel="share", title="Importance of the parameters")


# One page


def page(
    name: str, head: list[str], rows: list[dict[str, Any]], importance: dict[str, float], pictures: list[Path]
) -> str:
    """HTML with its pictures inside."""
    names = columns(rows) if rows else []
    lines = ["".join(f"<td>{html.escape(cell(row.get(name)))}</td>" for name in names) for row in rows]
    images = [
        f'<img alt="{p.stem}" src="data:image/png;base64,{base64.b64encode(p.read_bytes()).decode()}">'
        for p in pictures
    ]
    matters = "".join(f"<li>{html.escape(key)}: {value:.2f}</li>" for key, value in importance.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{html.escape(name)}</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ border-bottom: 1px solid #ccc; padding: 2px 10px; text-align: left; }}
img {{ max-width: 34em; width: 100%; }}
</style>
</head>
<body>
<h1>{html.escape(name)}</h1>
{"".join(f"<p>{html.escape(line)}</p>" for line in head)}
{"".join(images)}
{f"<h2>Importance of the parameters</h2><ul>{matters}</ul>" if matters else ""}
<h2>Trials</h2>
<table>
<tr>{"".join(f"<th>{html.escape(name)}</th>" for name in names)}</tr>
{"".join(f"<tr>{line}</tr>" for line in lines)}
</table>
</body>
</html>
"""
