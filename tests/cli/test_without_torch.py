"""What answers without torch, whose import takes seconds: help, --cfg, a study, and whatever is wrong with a command line."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from program import ROOT
from wrong import WRONG as WRONG_LINES

# Runs each command line in a process that cannot import torch, and prints their exit codes.
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("no torch here")

sys.meta_path.insert(0, NoTorch())  # and not None in sys.modules, where scipy looks for torch's arrays
import launch
codes = []
for line in json.loads(sys.argv[2]):
    sys.argv = ["launch.py", *line]
    try:
        codes.append(launch.main())
    except SystemExit as stop:
        codes.append(stop.code)
    except Exception as error:
        codes.append(repr(error))
print("codes", json.dumps(codes))
"""


def exit_codes(folder: Path, lines: list[list[str]]) -> list[object]:
    command = [sys.executable, "-c", PROGRAM, str(ROOT), json.dumps(lines)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.rpartition("codes ")[2])


RIGHT = [
    ["--help"],
    ["--cfg", "job"],
    ["experiment=cifar100_gac_r18_t6", "--cfg", "job"],
    ["sweeps=t_lr", "--cfg", "hydra"],
    ["task=study", "study=study"],
    ["task=diff", "runs=[run,again]"],
    ["--info", "searchpath"],
]

WRONG = [
    ["optimzer=sgd"],
    ["optimizer=sdg"],
    ["model.wdith=2"],
    ["+model.foo=3"],
    ["model=resnet50"],
    ["model=max_resnet18", "dataset=imagenet"],
    ["experiment=nope"],
    ["T=six"],
    ["T=0"],
    ["T6"],
    ["T=["],
    ["optimizer.lr=-1"],
    ["task=evaluate"],
    ["task=energy", "checkpoint=nowhere.pt"],
    ["task=evaluate", "checkpoint=nowhere.pt", "dataset.root=x"],
    ["task=evaluate", "checkpoint=run/checkpoints/best.pt", "T=6"],
    ["task=evaluate", "checkpoint=run/checkpoints/best.pt", "model=resnet34"],
    ["task=evaluate", "checkpoint=run/checkpoints/best.pt", "dataset.pictures=3"],
    ["dataset=image_folder", "dataset.root=nowhere"],
    ["resume=damaged", "dataset.images=100"],
    ["resume=later", "dataset.images=100"],
    ["task=evaluate", "resume=x", "checkpoint=y"],
    ["task=study"],
    ["task=diff", "runs=run"],
    ["task=diff", "runs=[run,study]"],
    ["task=study", "study=nowhere"],
    ["checkpoint=nowhere.pt"],
    ["resume=nowhere"],
    ["rerun=nowhere"],
    ["rerun=run", "resume=run"],
    ["resume=run", "T=6"],
    ["resume=run", "optimizer=sgd"],
    ["output_dir=run"],
    ["output_dir=run/config.yaml/x"],
    ["-m", "sweeps=t_lr", "T=1,0"],
    ["-m", "sweeps=t_lr", "hydra.sweeper.n_trials=0"],
    ["-m", "sweeps=t_lr", "hydra/sweeper/sampler=tpf"],
    ["-m", "sweeps=t_lr", "hydra.sweeper.objectives=[top]"],
]


# One for each place that finds something: Hydra, the schema, the checks of a task, a saved run, its data, a sweep.
QUICK = [
    ["model.wdith=2"],
    ["T=0"],
    ["task=energy", "checkpoint=nowhere.pt"],
    ["task=evaluate", "checkpoint=run/checkpoints/best.pt", "T=6"],
    ["dataset=image_folder", "dataset.root=nowhere"],
    ["resume=later", "dataset.images=100"],
    ["task=diff", "runs=[run,study]"],
    ["resume=run", "T=6"],
    ["-m", "sweeps=t_lr", "T=1,0"],
]


@pytest.mark.slow
def test_what_is_wrong_with_a_command_line(tmp_path: Path) -> None:
    codes = exit_codes(tmp_path, [list(line) for line in WRONG_LINES])
    assert [line for line, code in zip(WRONG_LINES, codes, strict=True) if code != 2] == []


@pytest.mark.parametrize("wrong", [QUICK, pytest.param(WRONG, marks=pytest.mark.slow)], ids=["some", "all"])
def test_what_is_right_and_needs_no_network_and_what_is_wrong(wrong: list[list[str]], tmp_path: Path) -> None:
    frozen = ROOT / "tests" / "frozen" / "schema1"
    shutil.copytree(frozen / "run", tmp_path / "run")
    shutil.copytree(frozen / "run", tmp_path / "again")
    shutil.copytree(frozen / "study", tmp_path / "study")
    for name, text in (("damaged", "]["), ("later", "schema: 1000")):
        shutil.copytree(frozen / "run", tmp_path / name)
        (tmp_path / name / "config.yaml").write_text(text)
    with sqlite3.connect(tmp_path / "study" / "study.db") as database:
        database.executescript((tmp_path / "study" / "study.sql").read_text())
    about = tmp_path / "study" / "study.json"
    about.write_text(about.read_text().replace("@FOLDER@", str(tmp_path / "study")))
    lines = [*RIGHT, *wrong]
    codes = exit_codes(tmp_path, lines)
    expected = [0] * len(RIGHT) + [2] * len(wrong)
    assert [line for line, code, wanted in zip(lines, codes, expected, strict=True) if code != wanted] == []


def test_torch_is_wanted_for_a_run(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    (code,) = exit_codes(tmp_path, [["hardware=cpu", "epochs=1", "limit_train=64", "output_dir=run"]])
    assert "torch" in str(code)
