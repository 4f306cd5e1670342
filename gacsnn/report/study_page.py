"""The page of a study: what was searched, what was found, every trial, and where it comes from."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from gacsnn.report import html, trial_table
from gacsnn.report.chart import Chart
from gacsnn.report.importance import Importance
from gacsnn.report.pages import Section, Tile, figures, plain, said
from gacsnn.report.rows import Row
from gacsnn.report.seeds import best_row, mean_of, named, seed_notes, seed_table
from gacsnn.report.trial_table import STATES, state_of
from gacsnn.report.trials import Tried, short
from gacsnn.report.words import word
from gacsnn.runtime.console import duration
from gacsnn.runtime.provenance import git_commit
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.sweep.about import file_of, read_about, storage_of
from gacsnn.sweep.points import SEARCH_OF
from gacsnn.sweep.storage import runs_of, shown

# The figure of a result that is read from the test split.
TEST = "top1"


def study_page(
    study: optuna.Study,
    storage: str,
    objectives: Sequence[str],
    tried: Sequence[Tried],
    rows: Sequence[dict[str, Any]],
    best: Sequence[FrozenTrial],
    by_seed: Sequence[Row],
    charts: Sequence[Chart],
    importance: Importance | None,
    sections: Sequence[Section] = (),
    links: Mapping[int, str] = {},
) -> str:
    """One file that needs no network. `rows` are those of `trial_table.row`, `by_seed` the settings that have several seeds,
    `sections` what stands above the figures: claims and their answers; `links` those of `run_pages`.
    """
    identity = study.user_attrs.get("identity", {})
    synthetic = ["SYNTHETIC DATA"] if identity.get("dataset.name") == "synthetic" else []
    return html.render(
        "study.html",
        name=study.study_name,
        heading=[*synthetic, *searched(tried)],
        tiles=tiles(tried, objectives, study, best, by_seed),
        sections=sections,
        figures=figures(charts),
        importance=importance.said(word(objectives[0])) if importance else "",
        shares=list(importance.shares.items()) if importance else [],
        means=plain(*seed_table(by_seed)) if by_seed else None,
        mean_notes=seed_notes(by_seed),
        trials=trial_table.page(rows, links),
        provenance=provenance(study, storage, objectives, tried),
        shared=[(name, said(value)) for name, value in identity.items() if not name.startswith(SEARCH_OF)],
    )


def searched(tried: Sequence[Tried]) -> list[str]:
    found: dict[str, BaseDistribution] = {}
    for one in tried:
        found |= one.trial.distributions
    return ["Searched: " + "; ".join(f"{name} {within(space)}" for name, space in found.items())] if found else []


def within(space: BaseDistribution) -> str:
    """`among 1, 2, 4`, or `from 0.0001 to 0.1, logarithmic`."""
    if isinstance(space, CategoricalDistribution):
        return f"among {', '.join(map(str, space.choices))}"
    assert isinstance(space, FloatDistribution | IntDistribution)
    return f"from {space.low:g} to {space.high:g}{', logarithmic' if space.log else ''}"


def tiles(
    tried: Sequence[Tried],
    objectives: Sequence[str],
    study: optuna.Study,
    best: Sequence[FrozenTrial],
    by_seed: Sequence[Row],
) -> list[Tile]:
    """How many trials, the best of them, how long they took. With seeds the best mean, as no single trial is the best."""
    states = [state_of(one.trial) for one in tried]
    counts = [f"{states.count(state):,} {said}" for state, said in STATES.items() if state in states]
    found = [Tile("trials", f"{len(tried):,}", ", ".join(counts) or "no trials yet")]
    name, higher = objectives[0], study.directions[0] == optuna.study.StudyDirection.MAXIMIZE
    row = best_row(by_seed, name, higher)
    if len(objectives) > 1:
        found.append(Tile("trials on the Pareto front", f"{len(best)}", f"of {' and '.join(map(word, objectives))}"))
    elif row is not None:
        settings = f"{named(row, by_seed)}, n={row.n}" if len(by_seed) > 1 else f"n={row.n}"
        found.append(Tile(f"best mean of {word(name)}", mean_of(row, name), settings))
        if tested := mean_of(row, TEST):
            found.append(Tile(f"its {word(TEST)}", tested, "of the settings with the best mean"))
    elif best:
        params = ", ".join(f"{name} {short(value)}" for name, value in best[0].params.items())
        found.append(Tile(f"best {word(name)}", f"{best[0].values[0]:.4g}", f"trial {best[0].number}: {params}"))
        tested = next((one.value(TEST) for one in tried if one.trial.number == best[0].number), None)
        if tested is not None:
            found.append(Tile(f"its {word(TEST)}", f"{tested:.4g}", f"trial {best[0].number}"))
    took = [one.trial.duration.total_seconds() for one in tried if one.trial.duration]
    if took:
        found.append(Tile("time of all trials", duration(sum(took)), f"longest {duration(max(took))}"))
    return found


def run_pages(trials: Sequence[FrozenTrial], folder: Path) -> dict[int, str]:
    """Return the links from `report/` to the run pages that are there, by trial; of a mean over seeds that of its first run."""
    pages = {trial.number: RunDirectory(runs_of(trial, folder)[0]).page_path for trial in trials}
    report = (folder / "report").absolute()
    return {
        number: quote(Path(os.path.relpath(page.absolute(), report)).as_posix())
        for number, page in pages.items()
        if page.exists()
    }


def provenance(
    study: optuna.Study, storage: str, objectives: Sequence[str], tried: Sequence[Tried]
) -> list[tuple[str, str]]:
    """Which study, when, where, and by what. Of machines and versions all that any result names."""
    begun = [one.trial.datetime_start for one in tried if one.trial.datetime_start]
    ended = [one.trial.datetime_complete for one in tried if one.trial.datetime_complete]
    results = [one.result for one in tried if one.result]
    facts = {
        "study": study.study_name,
        "storage": storage,
        "objectives": ", ".join(f"{n} ({d.name.lower()})" for n, d in zip(objectives, study.directions, strict=True)),
        "trials ran": f"{min(begun):%Y-%m-%d %H:%M} to {max(ended):%Y-%m-%d %H:%M}" if begun and ended else "",
        "commit of the runs": among(result.get("git_commit") for result in results),
        "versions of the runs": among(versions(result) for result in results),
        "device": among(result.get("device") for result in results),
        "machine": among(result.get("machine") for result in results),
        "this page": f"{datetime.now():%Y-%m-%d %H:%M}, gacsnn {version('gacsnn')}, commit {git_commit() or 'unknown'}",
        "numbers": "trials.csv, beside this page; the storage; result.json and metrics.jsonl in the run of each trial",
    }
    return [(name, value) for name, value in facts.items() if value]


def versions(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in result.get("versions", {}).items())


def among(values: Any) -> str:
    """Each once, in order; of many the first three."""
    found = [str(value) for value in dict.fromkeys(values) if value]
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} others" if len(found) > 3 else "")


def shown_storage(folder: Path) -> str:
    """Where the study of this folder lies, without a password, and without the path to the folder itself."""
    url = storage_of(folder.absolute(), read_about(folder))
    file = file_of(url)
    return file.name if file is not None and file.parent.absolute() == folder.absolute() else shown(url)
