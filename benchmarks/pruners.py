"""Replay searches over learning curves, and print how often each pruner keeps the trial that wins without one.

    python benchmarks/pruners.py curves [--runs 200]      # train small networks on digits (an hour on one core)
    python benchmarks/pruners.py replay [--searches 300]  # the tables of docs/sweeps.md

`curves` adds a line for each run to benchmarks/results/digits-curves.jsonl, and continues there after a stop.
`replay` draws 30 curves for each search, as sweeps/t_lr_prune.yaml has 30 trials, and reports them epoch by epoch, one trial
after another, to Optuna's own pruners. A trial's value is its best epoch. Three sources of curves:

- digits, even: every second recorded run. The defaults of the pruners were chosen on these and on other pow3 curves.
- digits, odd: the other runs, which played no part in that choice.
- pow3: c - a * epoch^-alpha, one of the families of Domhan, Springenberg and Hutter (IJCAI 2015), with noise.
"""

import argparse
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from omegaconf import OmegaConf
from optuna.pruners import BasePruner
from optuna.trial import TrialState
from tabulate import tabulate

from gacsnn.sweep.pruners import PRUNERS, for_epochs
from gacsnn.sweep.samplers import make

ROOT = Path(__file__).parents[1]
CURVES = ROOT / "benchmarks" / "results" / "digits-curves.jsonl"
EPOCHS, TRIALS = 18, 30
FIXED = {
    "hardware": "cpu",
    "hardware.threads": 1,
    "epochs": EPOCHS,
    "dataset.validation": 0.4,
    "limit_train": 400,
    "task.test": "false",
}

# The defaults, some neighbours, and the defaults of Optuna and of earlier versions, without a warm-up.
SETTINGS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("none", {}),
    ("median", {}),
    ("median", {"n_startup_trials": 5}),
    ("median", {"n_startup_trials": 10}),
    ("median", {"n_startup_trials": 5, "n_warmup_steps": 0}),
    ("halving", {}),
    ("halving", {"reduction_factor": 4}),
    ("halving", {"min_resource": 1, "reduction_factor": 4}),
    ("hyperband", {}),
    ("hyperband", {"min_resource": 1, "max_resource": "auto"}),
)

Curve = Sequence[float]


@dataclass(frozen=True)
class Replay:
    """A pruner in a search: whether it kept the winner, the points of the best that it lost, the share of epochs it used."""

    kept: bool
    lost: float
    used: float


def replay(pruner: BasePruner, curves: Sequence[Curve], name: str = "replay") -> Replay:
    """Report each curve as a trial, in this order, until its end or until the pruner stops it.

    Hyperband chooses the bracket of a trial by the name of the study.
    """
    study = optuna.create_study(study_name=name, direction="maximize", pruner=pruner)
    complete: list[float] = []
    epochs = 0
    for curve in curves:
        trial, stopped = study.ask(), False
        for epoch, score in enumerate(curve, start=1):
            trial.report(score, epoch)
            epochs += 1
            if stopped := epoch < len(curve) and trial.should_prune():
                break
        if stopped:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, max(curve))
            complete.append(max(curve))
    best = max(map(max, curves))
    lost = best - max(complete, default=0.0)
    return Replay(lost == 0, lost, epochs / sum(map(len, curves)))


def pow3_curves(count: int, seed: int = 0) -> list[Curve]:
    """Return curves in % of top-1, whose noise has a standard deviation of half a point."""
    random = np.random.default_rng(seed)
    epochs = np.arange(1, EPOCHS + 1)
    end, first, alpha = 100 - random.gamma(2, 6, count), random.uniform(20, 80, count), random.uniform(0.4, 1.6, count)
    curves = end[:, None] - first[:, None] * epochs ** -alpha[:, None] + random.normal(0, 0.5, (count, EPOCHS))
    return curves.clip(0, 100).tolist()


def row_of(name: str, options: Mapping[str, Any], pool: Sequence[Curve], searches: int) -> list[str]:
    """Return a row of the table: the mean over searches of 30 curves of the pool, the same ones for each pruner."""
    random = np.random.default_rng(0)
    replays: list[Replay] = []
    for number in range(searches):
        node = OmegaConf.create(OmegaConf.to_container(OmegaConf.structured(PRUNERS[name](**options))))
        drawn = random.choice(len(pool), TRIALS, replace=False)
        replays.append(
            replay(make("pruner", for_epochs(node, EPOCHS)), [pool[index] for index in drawn], f"search {number}")
        )
    kept, lost, used = np.mean([(each.kept, each.lost, each.used) for each in replays], axis=0)
    said = ", ".join(f"{option} {value}" for option, value in options.items()) or "default"
    return [name, said, f"{100 * kept:.0f} %", f"{lost:.3f}", f"{100 * (1 - used):.0f} %"]


def print_tables(searches: int) -> None:
    recorded = [run["validation_top1"] for run in read_curves()]
    pools = {"digits, even": recorded[::2], "digits, odd": recorded[1::2], "pow3": pow3_curves(200)}
    for title, pool in pools.items():
        rows = [row_of(name, options, pool, searches) for name, options in SETTINGS]
        headers = ["pruner", "options", "winner kept", "points lost", "epochs saved"]
        align = ["left", "left", "right", "right", "right"]
        print(f"\n{title}: {len(pool)} curves, {searches} searches of {TRIALS} trials\n", flush=True)
        print(tabulate(rows, headers, "github", colalign=align, disable_numparse=True), flush=True)


def options_of(number: int) -> dict[str, Any]:
    """Return the options of run `number`. The learning rates of the first runs are spread as evenly as those of all."""
    shift, T, width = np.random.default_rng(number).random(3)
    place = (number * (5**0.5 - 1) / 2 + 0.1 * shift) % 1  # multiples of the golden ratio
    return {
        "T": int((1, 2, 4)[int(3 * T)]),
        "optimizer.lr": float(f"{10 ** (-4 + 3 * place):.4g}"),  # the range of sweeps/t_lr_prune.yaml
        "model.width": (0.05, 0.1, 0.15)[int(3 * width)],
        "seed": number,
    }


def record_curves(runs: int) -> None:
    """Train the runs that the file lacks, and add a line for each."""
    for number in range(len(read_curves()), runs):
        options = options_of(number)
        curve, result = train(options)
        if number == 0:
            origin = {name: result[name] for name in ("git_commit", "versions", "device", "machine")}
            add_line({"command": "python benchmarks/pruners.py curves", "options": FIXED, **origin})
        add_line({**options, "validation_top1": [round(score, 3) for score in curve]})
        print(f"run {number + 1}/{runs}: {options} best top-1 {max(curve):.2f} %", flush=True)


def train(options: Mapping[str, Any]) -> tuple[list[float], dict[str, Any]]:
    """Return the validation top-1 of each epoch, and the result, of a run in a temporary folder."""
    from hydra import compose, initialize_config_dir

    from gacsnn.run import run
    from gacsnn.runtime import console
    from gacsnn.sweep.compose import checked_values
    from gacsnn.sweep.plugin import register

    register()
    curve: list[float] = []
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(ROOT / "conf")), console.hush(True):
        given = {**FIXED, **options, "output_dir": f"{folder}/run"}
        config = checked_values(compose("config", [f"{name}={value}" for name, value in given.items()]))
        result = run(config, None, lambda line: curve.append(line["validation_top1"]))
    return curve, dict(result)


def add_line(content: Mapping[str, Any]) -> None:
    with CURVES.open("a") as file:
        file.write(json.dumps(content) + "\n")


def read_curves() -> list[dict[str, Any]]:
    """Return the recorded runs; the first line of the file says how they were made."""
    return [json.loads(line) for line in CURVES.read_text().splitlines()[1:]] if CURVES.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("curves").add_argument("--runs", type=int, default=200)
    commands.add_parser("replay").add_argument("--searches", type=int, default=300)
    given = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if given.command == "curves":
        record_curves(given.runs)
    else:
        print_tables(given.searches)


if __name__ == "__main__":
    main()
