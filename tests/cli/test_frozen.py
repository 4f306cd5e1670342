"""A run and a study of schema 1, kept as they were written: today's program goes on with them, measures and shows them.

`frozen/schema1/expected.json` holds what the program that wrote them gave for the same commands. Never write these files anew:
a change that breaks a test here breaks every run that people have.
"""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from program import ROOT, Launch, read_result

from gacsnn.config.merge import config_hash
from gacsnn.config.saved import load
from gacsnn.runtime.run_dir import RunDirectory

FROZEN = ROOT / "tests" / "frozen" / "schema1"
EXPECTED: dict[str, Any] = json.loads((FROZEN / "expected.json").read_text())
ON_CPU = ("hardware=cpu", "hardware.threads=1")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return shutil.copytree(FROZEN / "run", tmp_path / "run")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The study's folder at a place of its own, its database rebuilt from text."""
    folder = shutil.copytree(FROZEN / "study", tmp_path / "study")
    for file in [*folder.rglob("*.json"), *folder.rglob("*.yaml"), folder / "study.sql"]:
        file.write_text(file.read_text().replace("@FOLDER@", str(folder)))
    database = sqlite3.connect(folder / "study.db")
    database.executescript((folder / "study.sql").read_text())
    database.close()
    return folder


def test_the_hash_is_what_it_was(run: Path) -> None:
    assert config_hash(load(run / "config.yaml")) == read_result(run)["config_hash"]


def test_it_is_resumed_as_by_the_program_that_wrote_it(launch: Launch, run: Path) -> None:
    before = RunDirectory(run).read_result()
    said = launch("resume=run", "epochs=4", "hardware.kernels=plain", *ON_CPU)  # which is all that program had
    assert said.code == 0, said.err
    lines = RunDirectory(run).read_metrics()
    expected = EXPECTED["metrics of resume=run epochs=4"]
    assert len(lines) == len(expected)
    for line, known in zip(lines, expected, strict=True):
        assert {name: line[name] for name in known} == {
            # Rounding differs between processors, and may move a spike or two of some 30,000.
            name: pytest.approx(value, rel=1e-2 if name == "firing_rate" else 1e-4)
            for name, value in known.items()
        }
    after = RunDirectory(run).read_result()
    assert before is not None
    assert after is not None
    assert after["images"] == before["images"] == 40


def test_a_complete_one_is_shown_and_left_alone(launch: Launch, run: Path) -> None:
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = launch("resume=run", *ON_CPU)
    assert said.code == 0, said.err
    assert "this run is complete" in said.out
    assert "(40 images)" in said.out
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.usefixtures("run")
def test_its_checkpoint_is_measured(launch: Launch, tmp_path: Path) -> None:
    said = launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "task.split=validation", "output_dir=again")
    assert said.code == 0, said.err
    expected = EXPECTED["result of task=evaluate task.split=validation"]
    found = read_result(tmp_path / "again")
    assert found["config_hash"] == expected["config_hash"]
    numbers = [name for name in expected if name != "config_hash"]
    assert [found[name] for name in numbers] == pytest.approx([expected[name] for name in numbers], rel=1e-4)


def test_its_study_is_shown(launch: Launch, study: Path) -> None:
    said = launch("task=study", f"study={study}")
    assert said.code == 0, said.err
    assert "3 COMPLETE" in said.out


def test_its_study_goes_on(launch: Launch, study: Path) -> None:
    said = launch(
        *("-m", "sweeps=t_lr", "dataset=synthetic", "dataset.size=8", "dataset.images=200", "dataset.num_classes=3"),
        *("model.width=0.05", "model.stages=[[64,1,1],[128,1,2]]", "T=2", "batch_size=16", "augmentation=cutmix"),
        *(*ON_CPU, "epochs=1", "hydra.sweeper.n_trials=4", f"hydra.sweep.dir={study}"),
    )
    assert said.code == 0, said.err
    with sqlite3.connect(study / "study.db") as database:
        rows = database.execute("select number, state from trials order by number").fetchall()
    assert rows == [(number, "COMPLETE") for number in range(4)]
    _params, values, name = EXPECTED["trials of the study with n_trials=4"][3]
    result = RunDirectory(study / "3").read_result()
    assert result is not None
    assert result["config_hash"] == name, "the sampler chose another learning rate, or the config counts as another"
    assert result["validation_top1"] == pytest.approx(values[0], abs=7)
