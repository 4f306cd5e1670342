"""Which firing rates the published millijoules imply, beside those that our runs show: writes `docs/energy.md`.

    python benchmarks/energy.py RUN [RUN ...]

RUN is a run directory with `energy.csv` and `result.json`.
"""

import csv
import json
import sys
from pathlib import Path

import torch

from gacsnn import create_model
from gacsnn.energy import PJ_IN_MJ, count_macs
from gacsnn.runtime.files import write_text

MAC_PJ, AC_PJ = 4.6, 0.9
SIZE = (224, 224)

# GAC-MSResNet on ImageNet, from the authors' table: T, millijoules per image.
PUBLISHED = {("resnet18", 4): 1.49, ("resnet18", 6): 2.34, ("resnet34", 4): 2.20, ("resnet34", 6): 3.38}


def implied(name: str, T: int, millijoules: float) -> list[str]:
    """A line of the table: the mean firing rate that makes the paper's convention give the published figure."""
    with torch.device("meta"):
        model = create_model(name, T=T, num_classes=1000, layout="imagenet")
    macs, inputs = count_macs(model, SIZE), model.layer_inputs()
    stem = sum(count for layer, count in macs.items() if inputs[layer].part == "stem")
    gate = sum(count for layer, count in macs.items() if inputs[layer].part == "gate")
    rest = sum(macs.values()) - stem - gate
    stem_mj, gate_mj = MAC_PJ * PJ_IN_MJ * stem, MAC_PJ * PJ_IN_MJ * gate
    rate = (millijoules - stem_mj) / (AC_PJ * PJ_IN_MJ * rest)
    cells = [name, str(T), f"{millijoules:.2f}", f"{stem_mj:.2f}", f"{rest / 1e9:.2f}", f"{100 * rate:.1f} %"]
    return [*cells, f"{gate_mj:.2f}"]


def shown(run: Path) -> list[str]:
    """A line of the table: what a run of ours measured."""
    result = json.loads((run / "result.json").read_text())
    with (run / "energy.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] not in ("stem", "gate")]
    macs = sum(int(row["macs"]) for row in rows)
    spent = sum(float(row["paper_mj"]) for row in rows)
    rate = spent / (AC_PJ * PJ_IN_MJ * macs)
    network = f"{result['model']}, {result['params']:,} parameters"
    return [
        *(result["dataset"], network, str(result["T"]), f"{result['top1']:.2f} %", f"{100 * rate:.1f} %"),
        *(f"{result['energy_mj']:.3g}", f"{result['energy_full_mj']:.3g}"),
    ]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


def page(runs: list[Path]) -> str:
    first = ["network", "T", "published mJ", "stem once, mJ", "other GMAC", "implied firing rate", "gate once, mJ"]
    second = ["data", "network", "T", "top-1", "firing rate", "paper's convention, mJ", "full account, mJ"]
    lines = [
        "# Energy: published figures and measured firing rates",
        "",
        "Written by `python benchmarks/energy.py RUN ...`. `gacsnn/energy.py` says what the two accounts count.",
        "",
        "## What the published millijoules imply (ImageNet, 224x224, GAC)",
        "",
        "By the paper's convention: the stem once at 4.6 pJ a multiply-accumulate, all layers of the stages and the head",
        "at 0.9 pJ times their firing rate, nothing for the gate. The last column is what the gate would add, even if",
        "computed once per image as it is here: more than the whole published figure.",
        "",
        *table(first, [implied(name, T, mj) for (name, T), mj in PUBLISHED.items()]),
        "",
        "## What our networks show",
        "",
        "None of ours has been trained on ImageNet yet, so these rates stand beside the implied ones, not against them.",
        "The rate is the mean over the same layers, weighted by their operations.",
        "",
        *table(second, [shown(run) for run in runs]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = page([Path(argument) for argument in sys.argv[1:]])
    home = Path(__file__).parents[1] / "docs" / "energy.md"
    home.parent.mkdir(exist_ok=True)
    write_text(home, text)
    print(f"-> {home}")
