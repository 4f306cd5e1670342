"""The energy account of real runs: energy.csv, the page of its rates, the table of task=energy, the constants."""

import math
from pathlib import Path

import pytest
import torch
from networks import spiking
from program import TINY, Launch, config, read_csv, read_result
from torch import Tensor

from gacsnn.encoders import phase_code
from gacsnn.tasks.experiment import prepare


def check_sums(folder: Path) -> list[dict[str, str]]:
    """energy.csv adds up to what result.json says."""
    rows, said = read_csv(folder / "energy.csv"), read_result(folder)
    for key, column in (("energy_mj", "paper_mj"), ("energy_full_mj", "full_mj"), ("sops", "sops"), ("macs", "macs")):
        assert said[key] == pytest.approx(math.fsum(float(row[column]) for row in rows), rel=1e-9)
    return rows


LIVELY = (*TINY, "hardware.threads=1", "model.width=0.125", "epochs=2", "optimizer.lr=0.01", "neuron=paper")


@pytest.fixture
def trained(launch: Launch, tmp_path: Path) -> Path:
    assert launch(*LIVELY, "output_dir=run").code == 0
    return tmp_path / "run"


def test_a_training_run_ends_with_the_account_of_its_best_weights(trained: Path) -> None:
    rows = check_sums(trained)
    prepared = prepare(config(*LIVELY))
    model = prepared.model.eval()
    model.load_state_dict(torch.load(trained / "checkpoints" / "best.pt")["model"])
    test = prepared.splits.test
    counts: dict[str, list[Tensor]] = {}
    for name in spiking(model):
        model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, spikes, name=name: counts.setdefault(name, []).append(spikes)
        )
    images = torch.stack([test[index, 0][0] for index in range(len(test))])
    with torch.no_grad():
        model(prepared.normalise(images))
    rates = {name: torch.cat(steps, dim=1).flatten(1).double().mean(dim=1) for name, steps in counts.items()}
    assert any(0 < step < 1 for steps in rates.values() for step in steps)
    for row in rows:
        if row["spiking_layer"]:
            expected = rates[row["spiking_layer"]].tolist()
            assert [float(row[f"rate_t{t}"]) for t in (1, 2)] == pytest.approx(expected, abs=1e-6)
    everything = torch.cat([spikes.flatten() for steps in counts.values() for spikes in steps])
    assert read_result(trained)["firing_rate"] == pytest.approx(everything.double().mean().item(), abs=1e-6)
    assert read_result(trained)["sops"] > 0
    assert {int(row["macs"]) for row in rows if row["layer"] == "encoder.stem.0"} == {8 * 64 * 27}
    assert "Firing rates" in (trained / "report.html").read_text()


def test_a_run_and_each_measurement_say_which_layers_are_silent(launch: Launch, tmp_path: Path) -> None:
    said = launch(*LIVELY, "neuron=cifar", "output_dir=run")
    assert said.code == 0, said.err
    result = read_result(tmp_path / "run")
    assert {"layer": "stages.0.0.lif1", "step": 1, "rate": 0.0} in result["silent"]
    assert result["silent_by_construction"] == [{"layer": "stages.0.0.lif1", "step": 1}]
    rates = {row["spiking_layer"]: row for row in read_csv(tmp_path / "run" / "energy.csv") if row["spiking_layer"]}
    found = {(layer, t) for layer, row in rates.items() for t in (1, 2) if float(row[f"rate_t{t}"]) < 0.001}
    assert {(place["layer"], place["step"]) for place in result["silent"]} == found
    (line,) = (line for line in said.out.splitlines() if line.startswith("silent "))
    assert "stages.0.0.lif1 (" in line
    for task in ("evaluate", "energy"):
        again = launch(f"task={task}", "checkpoint=run/checkpoints/best.pt", "limit_eval=32", f"output_dir={task}")
        assert line in again.out.splitlines()
        assert read_result(tmp_path / task)["silent"] == result["silent"]


@pytest.mark.slow
def test_two_processes_find_the_same_layers_silent_at_the_same_rates(launch: Launch, tmp_path: Path) -> None:
    assert launch(*LIVELY, "output_dir=run").code == 0
    arguments = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "limit_eval=31", "hardware.precision=fp64")
    for count in (1, 2):
        said = launch(*arguments, "hardware.threads=1", f"hardware.processes={count}", f"output_dir=by-{count}")
        assert said.code == 0, said.err
    one, two = (read_result(tmp_path / f"by-{count}") for count in (1, 2))
    assert one["silent"]
    for name in ("silent", "saturated", "silent_by_construction", "firing_rate"):
        assert one[name] == two[name]


def test_task_energy_prints_the_table_and_writes_the_files(launch: Launch, trained: Path, tmp_path: Path) -> None:
    arguments = ("task=energy", "checkpoint=run/checkpoints/best.pt", "limit_eval=32", "hardware.threads=1")
    code, out, err = launch(*arguments, "output_dir=energy")
    assert (code, err) == (0, "")
    rows = check_sums(tmp_path / "energy")
    assert rows == check_sums(trained), "the same split, the same weights"
    lines = out.splitlines()
    for row in rows:
        (line,) = (line for line in lines if line.startswith(f"{row['layer']} "))
        assert row["input"] in line
        if row["firing_rate"]:
            assert f"{100 * float(row['firing_rate']):.2f}" in line
    (total,) = (line for line in lines if line.startswith("all "))
    said = read_result(tmp_path / "energy")
    assert [float(x) for x in total.split()[-2:]] == pytest.approx(
        [1e3 * said["energy_mj"], 1e3 * said["energy_full_mj"]], abs=6e-4
    )
    assert "Top-1 by epoch" not in (tmp_path / "energy" / "report.html").read_text(), "a measurement has no epochs"
    assert (said["split"], said["images"]) == ("test", 32)
    code, out, _ = launch(*arguments, "task.split=train", "output_dir=train")
    assert code == 0
    assert read_result(tmp_path / "train")["images"] == 64
    code, out, _ = launch("task=evaluate", *arguments[1:], "output_dir=evaluate")
    assert "paper uJ" not in out, "only task=energy prints the table"
    assert check_sums(tmp_path / "evaluate") == rows


def test_the_constants_come_from_the_command_line(launch: Launch, trained: Path, tmp_path: Path) -> None:
    arguments = ("task=energy", "checkpoint=run/checkpoints/best.pt", "limit_eval=32", "hardware.threads=1")
    own = ("energy.mac_pj=9.2", "energy.ac_pj=0.3", "energy.encoder=repeated")
    assert launch(*arguments, *own, "output_dir=energy").code == 0
    for before, after in zip(check_sums(trained), check_sums(tmp_path / "energy"), strict=True):
        layer = before["layer"]
        times = 2 if layer.startswith(("encoder.stem", "encoder.spatial_channel")) else 1  # T = 2
        assert int(after["macs"]) == times * int(before["macs"]), layer
        multiplied = before["input"] != "spikes"
        full = float(before["full_mj"]) * times * (2 if multiplied else 1 / 3)
        paper = float(before["paper_mj"]) * times * (2 if before["part"] == "stem" else 1 / 3)
        assert float(after["full_mj"]) == pytest.approx(full, rel=1e-9), layer
        assert float(after["paper_mj"]) == pytest.approx(paper, rel=1e-9), layer


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("energy.mac_pj=0", "energy.mac_pj=0: should be greater than 0"),
        ("energy.ac_pj=-1", "energy.ac_pj=-1: should be greater than 0"),
        ("energy.encoder=twice", "energy.encoder=twice: should be 'once' or 'repeated'"),
        ("task=energy", "task=energy: checkpoint=FILE says what to measure"),
    ],
)
def test_a_wrong_constant_is_one_line(launch: Launch, tmp_path: Path, argument: str, said: str) -> None:
    code, _, err = launch(argument)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("encoder=phase",), ("encoder=direct", "T=1"), ("model=max_resnet18", "T=3")])
def test_other_networks_have_an_account_too(launch: Launch, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert launch(*TINY, "model.width=0.05", *arguments, "hardware.threads=1", "output_dir=run").code == 0
    rows = check_sums(tmp_path / "run")
    stem = rows[0]
    if "encoder=phase" in arguments:
        splits = prepare(config(*TINY, *arguments)).splits
        images = torch.stack([splits.test[index, 0][0] for index in range(len(splits.test))])
        code = phase_code(images / 255, 2).mean(dim=(1, 2, 3, 4)).tolist()
        assert [float(stem["rate_t1"]), float(stem["rate_t2"])] == pytest.approx(code, abs=1e-6)
    else:
        assert stem["firing_rate"] == ""
    assert rows[-1]["layer"] == "head.linear"
    assert "head.lif" in (tmp_path / "run" / "report.html").read_text()
