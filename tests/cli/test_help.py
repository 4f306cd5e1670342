"""What is shown without running anything."""

import re
import subprocess
import sys

from program import ROOT, Launch


def test_help_names_every_group_and_option(launch: Launch) -> None:
    code, out, _ = launch("--help")
    assert code == 0
    for said in ("dataset: cifar10, cifar100, digits", "optimizer.lr", "learning rate at the start", "limit_train"):
        assert said in out


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
