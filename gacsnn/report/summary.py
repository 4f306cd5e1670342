"""What a run says at its end."""

from pathlib import Path
from typing import Any

from gacsnn.runtime import console
from gacsnn.runtime.console import duration, log


def conclude(result: dict[str, Any], folder: Path) -> None:
    """The closing summary of a `result.json`."""
    data = "SYNTHETIC DATA" if result["dataset"] == "synthetic" else result["dataset"]
    trained = result["train_seconds"]
    top1 = result["validation_top1"] if result["top1"] is None else result["top1"]
    last = result.get("last_epoch_top1")
    paper, full = result["energy_mj"], result["energy_full_mj"]
    lines = {
        "top-1": f"{top1:.2f} % on the {result['split']} split of {data} ({result['images']:,} images)",
        "last epoch": None if last is None else f"{last:.2f} %",
        "selected by": result["selected_by"],
        "parameters": f"{result['params']:,}",
        "firing rate": f"{100 * result['firing_rate']:.1f} % of the neurons at a time step",
        "energy": f"{paper:.4g} mJ per image by the paper's convention, {full:.4g} in full",
        "trained for": None if trained is None else f"{duration(trained)}, {result['epochs']} epochs",
        "results in": folder,
    }
    if console.label:  # one of many: a line is enough
        kept = ("top-1", "energy", "trained for")
        log.info(", ".join(str(lines[name]) for name in kept if lines[name] is not None))
        return
    log.info("")
    for name, value in lines.items():
        if value is None:
            continue
        log.info(f"{name:<13}{value}")
