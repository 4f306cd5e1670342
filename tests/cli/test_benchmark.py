"""task=benchmark from the command line."""

import json
import re
from pathlib import Path

from program import Launch

SMALL = (
    "task=benchmark",
    "hardware=cpu",
    "hardware.threads=1",
    "model.width=0.1",
    "batch_size=4",
    "T=2",
    "task.rounds=1",
)


def test_it_says_and_writes_what_each_path_costs(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch(*SMALL, "output_dir=run")
    assert code == 0, err
    found = json.loads((tmp_path / "run" / "benchmark.json").read_text())
    rows = {(row["phase"], row["path"]): row for row in found["rows"]}
    assert {("train", "plain"), ("train", "auto"), ("train", "floor"), ("eval", "plain"), ("eval", "auto")} <= set(rows)
    train = rows["train", "auto"]
    assert (train["model"], train["T"], train["batch_size"], train["precision"]) == ("resnet8", 2, 4, "fp32")
    assert train["images_per_second"] == 4 / train["seconds"]
    assert train["saved_bytes_per_image"] < rows["train", "plain"]["saved_bytes_per_image"] / 2
    assert found["kernels"] == "fused"
    assert {"device", "versions", "git_commit", "seed", "config_hash", "machine"} <= set(found)
    assert f"{train['images_per_second']:,.1f}" in out


def test_a_grid_shows_how_a_step_grows_with_the_time_steps(launch: Launch) -> None:
    code, out, err = launch("-m", *(each for each in SMALL if each != "T=2"), "T=1,2,3", "hydra.sweep.dir=grid")
    assert code == 0, err
    assert "a grid of 3 jobs over T -> grid" in out
    assert "job 2: " in out
    assert "T=3" in next(line for line in out.splitlines() if line.startswith("job 2: "))
    below = out.partition("\nresnet8, batches of 4, fp32:\n")[2].splitlines()
    assert below[1].split("  ")[0] == "T"
    assert [line.split()[0] for line in below[2:5]] == ["1", "2", "3"]
    assert re.fullmatch(
        r"A time step more costs [\d.,-]+ ms, and [\d.,-]+ in convolutions: [\d.-]+ times as much\.", below[5]
    )


def test_several_processes_are_refused(launch: Launch, tmp_path: Path) -> None:
    code, _out, err = launch(*SMALL, "hardware.processes=2")
    assert code == 2
    assert err.startswith("error: task=benchmark: ")
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())
