"""What is shown without running anything."""

import re
import subprocess
import sys
from dataclasses import fields

from program import ROOT, Launch

from gacsnn.config.schema import options
from gacsnn.sweep.options import StudyConf
from gacsnn.sweep.pruners import PRUNERS

# What is chosen with hydra/sweeper/..., is of Hydra's own, or is of the plain plugin alone.
ELSEWHERE = {f"hydra.sweeper.{name}" for name in ("_target_", "defaults", "sampler", "pruner", "custom_search_space")}


def test_help_names_every_group_and_option(launch: Launch) -> None:
    code, out, _ = launch("--help")
    assert code == 0
    for said in ("dataset: cifar10, cifar100, digits", "optimizer.lr", "learning rate at the start", "limit_train"):
        assert said in out
    assert "report: default" in out
    assert not re.search(r"^\w+/\w+: ", out, re.MULTILINE), "what choices share is no group to choose from"


def test_help_says_type_range_and_default_of_every_option_also_of_a_search(launch: Launch) -> None:
    out = launch("--help", "T=6").out
    said = dict(re.findall(r"^  (\S+) +(.*)$", out.partition("\nOptions (")[2], re.MULTILINE))
    ours = {f"hydra.sweeper.{each.name}" for each in fields(StudyConf)} - ELSEWHERE
    of_pruners = {f"hydra.sweeper.pruner.{each.name}" for node in PRUNERS.values() for each in fields(node)}
    of_pruners.remove("hydra.sweeper.pruner._target_")
    assert set(said) == {*options(), *ours, *of_pruners, "hydra/sweeper/sampler", "hydra/sweeper/pruner"}
    for name, text in said.items():
        assert re.search(r".{5,} \[.+; (default .+|with \w+=.+)\]$", text), name
    assert said["T"] == "time steps [whole number from 1 to 10000; default 6]"
    assert said["seed"].endswith("[whole number from 0 below 4294967296; default 0]")
    assert said["optimizer.lr"] == "learning rate at the start [number above 0 to 1e+30; default 0.002]"
    assert said["optimizer.momentum"] == "momentum [number from 0 below 1; with optimizer=sgd]"
    assert said["hardware.processes"].endswith("[whole number from 1 to 65536 or gpus; default 1]")
    assert said["hydra.sweeper.n_trials"] == "trials of the search [whole number from 1 to 1e+12; default 20]"
    assert "tpe" in said["hydra/sweeper/sampler"]
    assert said["hydra/sweeper/pruner"].endswith("wilcoxon; default none]")
    assert said["hydra.sweeper.pruner.reduction_factor"].endswith(
        "[whole number from 2; default of halving 2, hyperband 3]"
    )


def test_an_experiment_is_shown_without_torch() -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        str(ROOT / "launch.py"),
        "experiment=cifar100_gac_r18_t6",
        "--cfg",
        "job",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "T: 6" in shown.stdout
    assert not re.search(r"\| +torch$", shown.stderr, re.MULTILINE)
