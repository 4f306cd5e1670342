"""The page of a run, `report.html` in its directory: curves, result, firing rates, energy, options, and where it comes from.

Made of the run's own files, without matplotlib: it costs a run some hundredths of a second.
"""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gacsnn.config.merge import flat
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config
from gacsnn.report import html
from gacsnn.report.by_class import class_table, heat_map, mistakes, read_confusion
from gacsnn.report.chart import Axis, Chart, Series
from gacsnn.report.pages import Cell, Table, Tile, figures, said
from gacsnn.report.rows import data_of, network_of
from gacsnn.report.words import figure, in_epochs
from gacsnn.runtime.console import duration, log, rate
from gacsnn.runtime.files import write_text
from gacsnn.runtime.run_dir import RunDirectory

SPLITS = ("train", "validation", "test")
EPOCHS = Axis("epoch", whole=True)
FEW = 40  # epochs, each of which gets a marker


def write_page(run_dir: RunDirectory, given: Collection[str] | None) -> None:
    """Write it. `given`: the options on the command line, dotted; None: nothing is known of it.

    The result is written by then, and is worth more: what goes wrong here is a warning.
    """
    if not run_dir.writes:
        return
    try:
        write_text(run_dir.page_path, run_page(run_dir, given or ()))
    except Exception as error:
        log.warning(f"{run_dir.page_path} was not written: {type(error).__name__}: {error}")


def run_page(run_dir: RunDirectory, given: Collection[str]) -> str:
    config, result, metrics = run_dir.read_config(), run_dir.read_result(), run_dir.read_metrics()
    assert result is not None
    options = flat(to_dict(config))
    layers = read_layers(run_dir)
    confusion = read_confusion(run_dir)
    return html.render(
        "run.html",
        name=run_dir.path.absolute().name,
        heading=heading(config),
        tiles=tiles(result),
        warnings=result.get("warnings", []),
        figures=figures(curves(metrics)),
        result=facts(result),
        confusion=[] if confusion is None else figures([heat_map(confusion)]),
        classes=None if confusion is None else class_table(confusion),
        mistakes=None if confusion is None else mistakes(confusion),
        odd_layers=odd_layers(result),
        rates=rates(layers),
        energy=energy(layers),
        given=[(name, said(options[name])) for name in named(given, options)],
        options=[(name, said(value)) for name, value in options.items()],
        provenance=provenance(result),
    )


def heading(config: Config) -> str:
    data = "SYNTHETIC DATA" if config.dataset.name == "synthetic" else data_of(config)
    return f"{config.task.name}: {network_of(config)} with {config.encoder.name}, T={config.T}, on {data}, seed {config.seed}"


def tiles(result: Mapping[str, Any]) -> list[Tile]:
    top1 = result["validation_top1"] if result["top1"] is None else result["top1"]
    made = [
        Tile(f"top-1 on the {result['split']} split", figure(top1, ".2f", " %"), f"{result['images']:,} images"),
        Tile(
            "energy per image",
            figure(result["energy_mj"], ".4g", " mJ"),
            f"in full {figure(result['energy_full_mj'], '.4g', ' mJ')}",
        ),
        Tile("firing rate", figure(result["firing_rate"], ".1f", " %", 100), "of the neurons at a time step"),
        Tile("parameters", figure(result["params"], ","), ""),
    ]
    if result["train_seconds"] is not None:
        made.append(Tile("trained for", duration(result["train_seconds"]), in_epochs(result["epochs"])))
    return made


def curves(metrics: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Top-1, loss, learning rate and firing rate by epoch; none of a measurement, which has no epochs."""

    def line(index: int, label: str, key: str, factor: float = 1.0) -> list[Series]:
        points = [(float(entry["epoch"]), factor * entry[key]) for entry in metrics if key in entry]
        marker = ("circle", "square", "triangle")[index] if len(metrics) <= FEW else ""
        tips = [f"epoch {epoch:g}: {label} {value:.4g}" for epoch, value in points] if marker else ()
        return [Series(label, points, index, marker, "line", tips=tips)] if points else []

    def of_splits(key: str) -> list[Series]:
        return [one for index, split in enumerate(SPLITS) for one in line(index, split, f"{split}_{key}")]

    wanted = [
        ("top1", "Top-1 by epoch", "top-1, %", of_splits("top1"), "train_top1 and that of the split that selects"),
        ("loss", "Loss by epoch", "loss", of_splits("loss"), "train_loss and that of the split that selects"),
        ("lr", "Learning rate by epoch", "learning rate", line(0, "learning rate", "lr"), "lr"),
        (
            "firing_rate",
            "Firing rate by epoch",
            "firing rate, %",
            line(0, "firing rate", "firing_rate", 100),
            "firing_rate",
        ),
    ]
    return [
        Chart(name, title, EPOCHS, Axis(label), series, f"metrics.jsonl, {keys}")
        for name, title, label, series, keys in wanted
        if series
    ]


def facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers of `result.json`, with their units; without those that it does not know."""
    constants = result.get("energy_constants") or {}
    units = {
        "top1": ("top-1", "{:.2f} %"),
        "top5": ("top-5", "{:.2f} %"),
        "loss": ("loss", "{:.4f}"),
        "validation_top1": ("top-1 on the validation split", "{:.2f} %"),
        "last_epoch_top1": ("top-1 of the last epoch", "{:.2f} %"),
        "split": ("measured on", "the {} split"),
        "images": ("images of it", "{:,}"),
        "selected_by": ("selected by", "{}"),
        "epochs": ("epochs", "{:,}"),
        "steps": ("optimizer steps", "{:,}"),
        "train_seconds": ("trained for", "{:,.1f} s"),
        "images_per_second": ("speed", "{}"),
        "params": ("parameters", "{:,}"),
        "firing_rate": ("firing rate", "{:.4f} spikes a neuron and time step"),
        "energy_mj": ("energy, the paper's convention", "{:.6g} mJ per image"),
        "energy_full_mj": ("energy in full", "{:.6g} mJ per image"),
        "macs": ("multiply-accumulates", "{:,.0f} per image"),
        "sops": ("synaptic operations", "{:,.0f} per image"),
    }
    speed = result.get("images_per_second")
    known = {**result, "images_per_second": None if speed is None else rate(speed)}
    found = [(label, unit.format(known[key])) for key, (label, unit) in units.items() if known.get(key) is not None]
    if constants:
        text = "{mac_pj:g} pJ a multiply-accumulate, {ac_pj:g} pJ an accumulate, encoder counted {encoder}"
        found.append(("energy constants", text.format(**constants)))
    return found


def odd_layers(result: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """The layers that hardly fire at some time step, or hardly stop, where the result lists such."""
    titles = {"silent": "Layers that are silent", "saturated": "Layers that are saturated"}
    headers = ["layer", "time step", "firing rate, %"]
    return [
        (
            title,
            Table(
                headers,
                ["left", "right", "right"],
                [
                    [Cell(one["layer"]), Cell(str(one["step"])), Cell(figure(one["rate"], ".2f", factor=100))]
                    for one in result[key]
                ],
            ),
        )
        for key, title in titles.items()
        if result.get(key)
    ]


def read_layers(run_dir: RunDirectory) -> list[dict[str, str]]:
    if not run_dir.energy_path.exists():
        return []
    with run_dir.energy_path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rates(layers: Sequence[Mapping[str, str]]) -> Table | None:
    """Rates in percent by spiking layer and time step, each in a colour as strong as it is high."""
    spiking = {layer["spiking_layer"]: layer for layer in layers if layer["spiking_layer"]}
    if not spiking:
        return None
    steps = [name for name in next(iter(spiking.values())) if name.startswith("rate_t")]
    values = {name: [100 * float(layer[step]) for step in steps] for name, layer in spiking.items()}
    highest = max(map(max, values.values())) or 1.0
    rows = [
        [Cell(name), *(Cell(f"{rate:.1f}", heat=round(100 * rate / highest)) for rate in found)]
        for name, found in values.items()
    ]
    headers = ["spiking layer", *(f"t={index + 1}" for index in range(len(steps)))]
    return Table(headers, ["left", *(["right"] * len(steps))], rows)


def energy(layers: Sequence[Mapping[str, str]]) -> Table | None:
    """Where the energy goes: operations (MACs, synaptic operations) in thousands, microjoules per image."""
    if not layers:
        return None

    def number(text: str, factor: float) -> Cell:
        return Cell(f"{factor * float(text):,.4g}", factor * float(text)) if text else Cell("")

    factors = {"firing_rate": 100, "macs": 1e-3, "sops": 1e-3, "paper_mj": 1e3, "full_mj": 1e3}
    headers = ["layer", "part", "reads", "firing rate, %", "MACs, thousands", "SOPs, thousands"]
    rows = [
        [Cell(layer[key]) for key in ("layer", "part", "input")]
        + [number(layer[key], factor) for key, factor in factors.items()]
        for layer in layers
    ]
    return Table([*headers, "paper, µJ", "full, µJ"], ["left"] * 3 + ["right"] * 5, rows)


def named(given: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """The options that the command line named: those of a group that it chose by the group's name, or else all below it."""
    found: list[str] = []
    for key in given:
        below = [f"{key}.name"] if f"{key}.name" in options else [o for o in options if o.startswith(f"{key}.")]
        found += [key] if key in options else below
    return list(dict.fromkeys(found))


def provenance(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {number}" for name, number in result.get("versions", {}).items())
    known = {
        "commit": result.get("git_commit"),
        "config hash": result.get("config_hash"),
        "seed": result.get("seed"),
        "device": result.get("device"),
        "precision": result.get("precision"),
        "kernels": result.get("kernels"),
        "machine": result.get("machine"),
        "versions": versions,
        "this page": f"{datetime.now():%Y-%m-%d %H:%M}",
    }
    return [(name, str(value)) for name, value in known.items() if value not in (None, "")]
