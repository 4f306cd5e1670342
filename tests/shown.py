"""What pages show, written without training: a run directory, and studies of any size."""

import json
import math
import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from program import config

from gacsnn.config.saved import to_yaml
from gacsnn.report.by_class import Confusion
from gacsnn.runtime.run_dir import RunDirectory

SPACE = {
    "T": optuna.distributions.CategoricalDistribution((1, 2, 4, 6)),
    "optimizer.lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    "encoder": optuna.distributions.CategoricalDistribution(("gac", "direct")),
}

RESULT: dict[str, Any] = {
    "top1": 91.25, "top5": 99.5, "loss": 0.3, "firing_rate": 0.164, "energy_mj": 0.00147, "energy_full_mj": 0.0057,
    "sops": 668974.0, "macs": 6063624, "energy_constants": {"mac_pj": 4.6, "ac_pj": 0.9, "encoder": "once"},
    "split": "test", "images": 360, "params": 312350, "T": 2, "dataset": "digits", "model": "resnet8", "encoder": "gac",
    "seed": 0, "config_hash": "01a3bf8dde", "git_commit": "8b9467303f79c50022ded9ed3e0ea56714a2f056",
    "versions": {"python": "3.11.7", "gacsnn": "0.1.0"}, "device": "a processor, 1 threads", "machine": "a machine",
    "precision": "fp32", "epochs": 3, "steps": 52, "train_seconds": 83.4, "images_per_second": 249.5,
    "validation_top1": 90.5, "selected_by": "best top-1 on the validation split (epoch 3 of 3)",
}  # fmt: skip

LAYERS = """\
layer,part,input,macs,spiking_layer,firing_rate,rate_t1,rate_t2,sops,paper_mj,full_mj
encoder.stem.0,stem,real values,27648,,,,,0.0,0.000127,0.000127
stages.0.0.conv1,stage 1,spikes,589824,stages.0.0.lif1,0.0105,0.0,0.021,6182.7,5.56e-06,5.56e-06
stages.0.0.conv2,stage 1,spikes,1179648,stages.0.0.lif2,0.4,0.3,0.5,75888.0,6.83e-05,6.83e-05
head.linear,head,mean of spikes,2560,head.lif,0.25,0.225,0.275,0.0,5.73e-07,1.18e-05
"""


def write_run(folder: Path, epochs: int = 3, **result: Any) -> RunDirectory:
    """A run that has ended; `result`: what its `result.json` says otherwise."""
    folder.mkdir(parents=True)
    run_dir = RunDirectory(folder)
    run_dir.config_path.write_text(to_yaml(config("T=2")))
    run_dir.energy_path.write_text(LAYERS)
    for epoch in range(1, epochs + 1):
        grown = 1 - math.exp(-epoch / 3)
        run_dir.append_metrics(
            {
                "epoch": epoch, "lr": 0.002 / epoch, "train_loss": 2.3 - 2 * grown, "train_top1": 100 * grown,
                "validation_loss": 2.3 - 1.8 * grown, "validation_top1": 95 * grown, "firing_rate": 0.2 * grown,
            }
        )  # fmt: skip
    run_dir.write_result({**RESULT, **result})
    return run_dir


def confusion(classes: int, images: int = 40) -> Confusion:
    """Of classes with long names, some of whose images are taken for a neighbour or for any other."""
    chance, counts = random.Random(classes), Counter[tuple[int, int]]()
    for there in range(classes):
        right = chance.uniform(0.4, 1)
        for _ in range(images):
            wrong = chance.choice([(there + 1) % classes, chance.randrange(classes)])
            counts[there, there if chance.random() < right else wrong] += 1
    return Confusion([f"automobile <{index}>" for index in range(classes)], counts)


def write_study(folder: Path, count: int, epochs: int = 10, name: str = "a study", runs: bool = False) -> None:
    """A study of T, learning rate and encoder with `count` trials, of which some fail and half are stopped early.

    `runs`: with the `result.json` of each complete trial.
    """
    folder.mkdir(parents=True)
    study = optuna.create_study(study_name=name, storage=f"sqlite:///{folder / 'study.db'}", direction="maximize")
    study.set_user_attr("identity", {"dataset.name": "digits", "epochs": epochs})
    trials = fabricated_trials(count, epochs)
    study.add_trials(trials)
    for number, trial in enumerate(trials):
        if runs and trial.state == TrialState.COMPLETE:
            energy = 0.0004 * trial.params["T"] * (1 + 0.1 * math.sin(number))
            result = {**RESULT, "energy_mj": energy, "validation_top1": trial.values[0]}
            (folder / str(number)).mkdir()
            (folder / str(number) / "result.json").write_text(json.dumps(result))
    about = {"study": name, "storage": None, "objectives": ["validation_top1"]}
    (folder / "study.json").write_text(json.dumps(about))


def fabricated_trials(count: int, epochs: int = 10) -> list[FrozenTrial]:
    return [fabricated(number, random.Random(number), epochs) for number in range(count)]


def write_seeds(folder: Path, seeds: int = 2) -> None:
    """A study of two encoders with several seeds each, and its runs."""
    folder.mkdir(parents=True)
    study = optuna.create_study(study_name="seeds", storage=f"sqlite:///{folder / 'study.db'}", direction="maximize")
    space = {
        "encoder": optuna.distributions.CategoricalDistribution(("gac", "direct")),
        "seed": optuna.distributions.CategoricalDistribution(tuple(range(seeds))),
    }
    for number, (encoder, seed) in enumerate((e, s) for e in ("gac", "direct") for s in range(seeds)):
        top1 = 80.0 + 5 * (encoder == "gac") + seed
        params, user = {"encoder": encoder, "seed": seed}, {"run": str(number), "epochs": 3}
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=top1, user_attrs=user))
        run_dir = write_run(folder / str(number), validation_top1=top1, top1=top1 - 1, encoder=encoder, seed=seed)
        run_dir.config_path.write_text(to_yaml(config("T=2", f"encoder={encoder}", f"seed={seed}")))
    about = {"study": "seeds", "storage": None, "objectives": ["validation_top1"]}
    (folder / "study.json").write_text(json.dumps(about))


def fabricated(number: int, chance: random.Random, epochs: int) -> FrozenTrial:
    rate, T = 10 ** chance.uniform(-4, -1), chance.choice(SPACE["T"].choices)  # type: ignore[attr-defined]
    params = {"T": T, "optimizer.lr": rate, "encoder": chance.choice(("gac", "direct"))}
    top1 = min(99.5, 93 + T / 2 - 6 * (math.log10(rate) + 2.3) ** 2 + chance.gauss(0, 1))
    reported = {epoch: top1 * (1 - math.exp(-epoch / 3)) for epoch in range(1, epochs + 1)}
    user: dict[str, Any] = {"run": str(number), "epochs": epochs}
    state, value, fate = TrialState.COMPLETE, reported[epochs], chance.random()
    if number > 5 and fate < 0.5:
        state, value = TrialState.PRUNED, None
        user["epochs"] = chance.randint(1, epochs // 2)
        reported = {epoch: score for epoch, score in reported.items() if epoch <= user["epochs"]}
        if fate < 0.05:
            state, reported = TrialState.FAIL, {}
            user = {"run": str(number), "reason": "the loss became nan at step 40 (epoch 1)"}
    trial = optuna.create_trial(
        state=state, params=params, distributions=SPACE, value=value, intermediate_values=reported, user_attrs=user
    )
    trial.number = number
    trial.datetime_start = datetime(2026, 1, 1) + timedelta(seconds=30 * number)
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=chance.uniform(5, 400))
    return trial
