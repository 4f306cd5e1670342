"""Runs in the published layout: a row per data set, network, encoder and T, for the terminal, Markdown, LaTeX and csv.

A row is the mean over the seeds of runs that have every other setting in common. Figures stand beside the published ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gacsnn.errors import GacsnnError, InputError
from gacsnn.report import figures
from gacsnn.report.published import elsewhere, published, source_of
from gacsnn.report.rows import Row, data_of, network_of, repeated_seeds, rows_of
from gacsnn.report.runs import LeftOut, Run, collect
from gacsnn.report.seeds import mean_of
from gacsnn.report.table import Align, Style, text, write_csv
from gacsnn.runtime.console import log
from gacsnn.runtime.files import make_folder, write_text

# Figures of a result that a row has means and deviations of, in `table.csv`.
FIGURES = (
    *("top1", "last_epoch_top1", "validation_top1", "top5", "loss", "firing_rate", "energy_mj", "energy_full_mj"),
    *("sops", "train_seconds", "images_per_second"),
)


class MissedError(GacsnnError):
    """A row is further below its published figure than it may be."""


def show(folders: Sequence[Path], target: Path | None, tolerance: float | None) -> dict[str, Any]:
    """Print the table of all runs in some folders; write it to `target`, or to `report/` in the first of them.

    Returns the number of rows, of runs, and of what was left out.

    Raises:
        InputError: when there is no run or no folder to write to, or nothing to hold against a published figure where a
            tolerance is given.
        MissedError: when a row is more than `tolerance` percentage points below its published figure.
    """
    runs, left_out = collect(folders)
    rows = rows_of(runs)
    if tolerance is not None and not any(published(row) for row in rows):
        raise InputError(f"report.tolerance={tolerance:g}: no row here has a published figure to hold it against")
    target = target or folders[0] / "report"
    make_folder("output_dir", target)
    if rows:
        write(rows, left_out, target)
        figures.save(target / "curves.png", lambda axes: figures.curves(axes, curves_of(rows)), (7.2, 4.4))
    log.info("\n".join(lines(rows, left_out, "plain")))
    if rows:
        log.info(f"\ntable.md, table.tex, table.csv and curves.png in {target}")
    if missed := [line for row in rows if (line := miss(row, tolerance))]:
        raise MissedError(f"report.tolerance={tolerance:g}: {'; '.join(missed)}")
    return {"rows": len(rows), "runs": len(runs), "left_out": len(left_out)}


def write(rows: Sequence[Row], left_out: Sequence[LeftOut], target: Path) -> None:
    write_text(target / "table.md", "\n".join(lines(rows, left_out, "github")) + "\n")
    write_text(target / "table.tex", "\n".join(latex(rows)) + "\n")
    headers = list(csv_row(rows[0]))
    write_csv(target / "table.csv", headers, [list(csv_row(row).values()) for row in rows])


def columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The cells by the titles of their columns. A column that says nothing is left out."""
    there = [published(row) for row in rows]
    made: dict[str, list[str]] = {
        "data": [data_of(row.config) for row in rows],
        "network": [network_of(row.config) for row in rows],
        "encoder": [row.config.encoder.name for row in rows],
        "T": [str(row.config.T) for row in rows],
        "settings": [", ".join(f"{name}={value}" for name, value in row.differs.items()) for row in rows],
        "n": [str(row.n) for row in rows],
        "top-1 %": [mean_of(row, "top1") for row in rows],
        "last epoch %": [mean_of(row, "last_epoch_top1") for row in rows],
        "validation %": [mean_of(row, "validation_top1") for row in rows],
        "published %": ["" if found is None else f"{found['top1']:.2f}" for found in there],
        "difference": [signed(difference(row)) for row in rows],
        "params M": [f"{row.runs[0].result['params'] / 1e6:.2f}" for row in rows],
        "energy mJ": [quantity(row, "energy_mj") for row in rows],
        "published mJ": ["" if found is None else f"{found.get('energy_mj', '')}" for found in there],
        "full mJ": [quantity(row, "energy_full_mj") for row in rows],
        "epochs": [spread([run.result["epochs"] for run in row.runs]) for row in rows],
        "epoch by": [selected_by(row) for row in rows],
    }
    return {name: column for name, column in made.items() if any(column)}


def quantity(row: Row, name: str) -> str:
    stat = row.stat(name)
    return "" if stat is None else f"{stat.mean:.3g}"


def spread(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"


def selected_by(row: Row) -> str:
    """How the epoch whose weights count was selected: by a split, or as the last one."""
    task = row.config.task
    by = getattr(task, "selected_by", "validation")
    return "last" if by == "validation" and row.config.dataset.validation == 0 else by


def difference(row: Row) -> float | None:
    """Percentage points above the published figure."""
    there, stat = published(row), row.stat("top1")
    return None if there is None or stat is None else stat.mean - there["top1"]


def signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def miss(row: Row, tolerance: float | None) -> str | None:
    """In words, when a row is further below its published figure than it may be."""
    below = difference(row)
    if tolerance is None or below is None or below >= -tolerance:
        return None
    name = f"{data_of(row.config)} {network_of(row.config)} {row.config.encoder.name} T={row.config.T}"
    return f"{name}: {row.stat('top1')} is {-below:.2f} below the published {published(row)['top1']:.2f}"  # type: ignore[index]


TEXT_COLUMNS = ("data", "network", "encoder", "settings", "epoch by", "source")


def rendered(columns: Mapping[str, Sequence[str]], style: Style) -> list[str]:
    align: list[Align] = ["left" if name in TEXT_COLUMNS else "right" for name in columns]
    return text(list(zip(*columns.values(), strict=True)), list(columns), align, style)


def lines(rows: Sequence[Row], left_out: Sequence[LeftOut], style: Style) -> list[str]:
    """The table, where it stands among what was published, what it does not say, and what was left out."""
    made = [*rendered(columns(rows), style), ""] if rows else ["no run has ended yet", ""]
    for dataset in dict.fromkeys(row.config.dataset.name for row in rows):
        if standing := standings(dataset, rows):
            made += [f"Published top-1 on {dataset}, and ours:", "", *rendered(standing, style), ""]
    for note in notes(rows):
        made.append(f"- {note}")
    made += [f"- left out: {left.path}: {left.reason}" for left in left_out]
    return made


def standings(dataset: str, rows: Sequence[Row]) -> dict[str, list[str]] | None:
    """Published figures on a data set and ours, the best first; None where nothing was published."""
    entries: list[tuple[float, str, str, str]] = [
        (there["top1"], there["network"], str(there.get("T", "")), source_of(there)) for there in elsewhere(dataset)
    ]
    if not entries:
        return None
    for row in rows:
        if row.config.dataset.name == dataset and (stat := row.stat("top1")) is not None:
            name = f"{row.config.encoder.name.upper()}-{network_of(row.config)}"
            entries.append((stat.mean, name, str(row.config.T), f"this table ({stat}, n={stat.n})"))
    entries.sort(reverse=True)
    top1s = [f"{entry[0]:.2f}" for entry in entries]
    rest = list(zip(*(entry[1:] for entry in entries), strict=True))
    return {"network": list(rest[0]), "T": list(rest[1]), "top-1 %": top1s, "source": list(rest[2])}


def notes(rows: Sequence[Row]) -> list[str]:
    """What a reader has to know of the figures: how they came about."""
    made = [
        "mean ± standard deviation (n - 1) over seeds; energy per image at 45 nm, by the paper's convention and in full"
    ]
    if any(selected_by(row) == "test" for row in rows):
        made.append(
            "epoch by test: the epoch was picked on the test split, as the released programs do: an optimistic figure"
        )
    if any(row.config.dataset.name == "synthetic" for row in rows):
        made.append("SYNTHETIC DATA: says nothing of accuracy on images")
    made += [f"{paths(row)}: {note}" for row in rows if (note := repeated_seeds(row))]
    versions = {run.result.get("git_commit") for row in rows for run in row.runs}
    if len(versions) > 1:
        made.append(f"runs of {len(versions)} commits of gacsnn: table.csv says which")
    return made


def latex(rows: Sequence[Row]) -> list[str]:
    """A tabular for `booktabs`, and where its rows come from as comments."""
    made = [line.replace("±", r"$\pm$") for line in rendered(columns(rows), "latex_booktabs")]
    traced = [f"% row {index + 1}: {paths(row)}" for index, row in enumerate(rows)]
    return [r"% \usepackage{booktabs}", *made, *traced, *(f"% {note}" for note in notes(rows))]


def paths(row: Row) -> str:
    return ", ".join(str(run.path) for run in row.runs)


def csv_row(row: Row) -> dict[str, object]:
    """All of a row in full, and the runs that it comes from."""
    config, there = row.config, published(row) or {}
    made: dict[str, object] = {
        "data": data_of(config),
        "network": network_of(config),
        "encoder": config.encoder.name,
        "T": config.T,
        "settings": " ".join(f"{name}={value}" for name, value in row.differs.items()),
        "params": row.runs[0].result["params"],
        "epochs": spread([run.result["epochs"] for run in row.runs]),
        "selected_by": selected_by(row),
    }
    for name in FIGURES:
        stat = row.stat(name)
        made |= {
            f"{name}_mean": stat and stat.mean,
            f"{name}_sd": stat and (stat.sd if stat.n > 1 else None),
            f"{name}_n": stat and stat.n,
        }
    return made | {
        "published_top1": there.get("top1"),
        "difference": difference(row),
        "published_energy_mj": there.get("energy_mj"),
        "source": source_of(there) if there else None,
        "seeds": joined(row.runs, lambda run: run.config.seed),
        "note": repeated_seeds(row),
        "runs": joined(row.runs, lambda run: run.path),
        "config_hashes": joined(row.runs, lambda run: run.result.get("config_hash")),
        "commits": joined(row.runs, lambda run: run.result.get("git_commit")),
        "devices": joined(row.runs, lambda run: run.result.get("device")),
    }


def joined(runs: Sequence[Run], value: Callable[[Run], object]) -> str:
    return ";".join(str(value(run)) for run in runs)


def curves_of(rows: Sequence[Row]) -> dict[str, list[list[float]]]:
    """Top-1 by epoch of each run of each row: on the split that selects, else on the training images."""
    made: dict[str, list[list[float]]] = {}
    shown = columns(rows)
    names = [name for name in ("data", "network", "encoder", "T", "settings") if len(set(shown.get(name, []))) > 1]
    for index, row in enumerate(rows):
        label = ", ".join(f"T={shown[name][index]}" if name == "T" else shown[name][index] for name in names)
        found = [top1 for run in row.runs if (top1 := top1_of(run.metrics))]
        if found:
            made[label or "top-1"] = found
    return made


def top1_of(metrics: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return a run's top-1 by epoch, all of the same split; an epoch whose top-1 is unknown is NaN, a gap in the figure."""
    names = ("validation_top1", "test_top1", "train_top1")
    name = next((name for name in names if any(name in line for line in metrics)), None)
    return [] if name is None else [line.get(name, math.nan) for line in metrics]
