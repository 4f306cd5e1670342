"""What a run says at its end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gacsnn.report.words import figure, in_epochs
from gacsnn.runtime import console
from gacsnn.runtime.console import duration, log

# How many layers a line names.
NAMED = 4


def conclude(result: dict[str, Any], folder: Path) -> None:
    """The closing summary of a `result.json`."""
    data = "SYNTHETIC DATA" if result["dataset"] == "synthetic" else result["dataset"]
    trained = result["train_seconds"]
    top1 = result["validation_top1"] if result["top1"] is None else result["top1"]
    last = result.get("last_epoch_top1")
    paper, full = result["energy_mj"], result["energy_full_mj"]
    lines = {
        "top-1": f"{figure(top1, '.2f', ' %')} on the {result['split']} split of {data} ({result['images']:,} images)",
        "last epoch": None if last is None else f"{last:.2f} %",
        "selected by": result["selected_by"],
        "parameters": figure(result["params"], ","),
        "firing rate": f"{figure(result['firing_rate'], '.1f', ' %', 100)} of the neurons at a time step",
        "silent": extreme(result, "silent"),
        "saturated": extreme(result, "saturated"),
        "energy": f"{figure(paper, '.4g', ' mJ')} per image by the paper's convention, {figure(full, '.4g')} in full",
        "trained for": None if trained is None else f"{duration(trained)}, {in_epochs(result['epochs'])}",
        "results in": folder,
    }
    if console.label:  # one of many: a line is enough, and warnings stand on its page
        kept = ("top-1", "energy", "trained for")
        log.info(", ".join(str(lines[name]) for name in kept if lines[name] is not None))
        return
    log.info("")
    for name, value in lines.items():
        if value is None:
            continue
        log.info(f"{name:<13}{value}")
    for text in result.get("warnings", []):
        log.warning(text)


def extreme(result: Mapping[str, Any], name: str) -> str | None:
    """The layers that are `silent` or `saturated`, those that are so at all steps first; None without any, and in older results.

    `stages.1.0.lif2 (all steps), stages.0.0.lif1 (t=1, by construction), stages.0.0.lif2 (t=3, 4), and 5 more`.
    """
    steps = by_layer(result.get(name, []))
    never = by_layer(result.get("silent_by_construction", [])) if name == "silent" else {}
    order = sorted(steps, key=lambda layer: (len(steps[layer]) < result["T"], layer not in never))
    shown = []
    for layer in order[:NAMED]:
        when = "all steps" if len(steps[layer]) == result["T"] else f"t={', '.join(map(str, steps[layer]))}"
        shown.append(f"{layer} ({when}{', by construction' if steps[layer] == never.get(layer) else ''})")
    more = [f"and {len(order) - NAMED} more"] if len(order) > NAMED else []
    return ", ".join([*shown, *more]) or None


def by_layer(places: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The steps at which each layer is found."""
    found: dict[str, list[int]] = {}
    for place in places:
        found.setdefault(place["layer"], []).append(place["step"])
    return found
