"""rerun=RUN: a run is run again from its own config, and says whether it came out the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from program import FOLDER, ROOT, SEARCH, TINY, Launch, read_metrics, read_result, refused
from storms import must_succeed

from gacsnn.config.saved import load
from gacsnn.training import checkpoint

ONE = (*TINY, "hardware.threads=1", "epochs=2", "optimizer=sgd", "optimizer.lr=0.05")


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    must_succeed(folder, *ONE, "output_dir=run")
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run that each test may change: trained once, copied for each."""
    return shutil.copytree(made, tmp_path / "run")


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_with_nothing_named_it_comes_out_the_same_and_the_run_stays_as_it_is(launch: Launch, run: Path) -> None:
    before = content(run)
    said = launch("rerun=run")
    assert said.code == 0, said.err
    assert content(run) == before
    (again,) = Path("outputs").glob("*/*")
    (line,) = (line for line in said.out.splitlines() if line.startswith("rerun"))
    assert f"the same as {run}, bit for bit: 2 epochs of metrics.jsonl" in line
    assert line.endswith("the weights of best.pt, the weights of last.pt")
    assert read_metrics(again) == read_metrics(run)
    saved = load(again / "config.yaml")
    assert (saved.rerun, saved.output_dir) == (str(run), None)
    assert saved.optimizer == load(run / "config.yaml").optimizer


def test_what_is_named_is_changed_and_said(launch: Launch, run: Path) -> None:
    said = launch("rerun=run", "optimizer.momentum=0.5", "seed=3", "output_dir=again")
    assert said.code == 0, said.err
    saved = load(Path("again") / "config.yaml")
    assert (saved.seed, saved.optimizer.model_dump()["momentum"], saved.optimizer.lr) == (3, 0.5, 0.05)
    assert (
        f"rerun        of {run}, but optimizer.momentum is 0.9 there and 0.5 here, seed is 0 there and 3 here"
        in said.out
    )
    there, here = read_result(run)["top1"], read_result(Path("again"))["top1"]
    assert f"{there:.2f} % there and {here:.2f} % here ({here - there:+.2f})" in said.out


def test_a_number_that_differs_is_named_with_its_epoch_and_both_values(launch: Launch, run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    loss = json.loads(lines[1])["train_loss"]
    lines[1] = json.dumps(json.loads(lines[1]) | {"train_loss": 0.25})
    (run / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    edit(run / "result.json", top1=1.5, versions={"torch": "1.0"})
    saved = checkpoint.read(run / "checkpoints" / "best.pt")
    saved["model"]["head.linear.bias"][0] += 0.5
    checkpoint.save(run / "checkpoints" / "best.pt", saved)
    code, out, err = launch("rerun=run", "output_dir=again")
    assert (code, err.count("\n")) == (1, 1)
    assert f"error: rerun={run}: not the same: first in epoch 2: train_loss is 0.25 there and {loss} here" in err
    assert "; top1 is 1.5 there and " in err
    assert "; 1 tensors of best.pt (first head.linear.bias, by 0.5 at most)" in err
    assert f"versions.torch is 1.0 there and {torch.__version__.split('+')[0]}" in err
    assert "bit for bit" not in out


def test_a_sign_of_zero_is_a_bit(launch: Launch, run: Path) -> None:
    last = run / "checkpoints" / "last.pt"
    saved = checkpoint.read(last)
    counted = saved["model"]["encoder.stem.1.running_mean"]
    counted[0] = -0.0
    checkpoint.save(last, saved)
    code, _, err = launch("rerun=run", "output_dir=again")
    assert code == 1
    assert "1 tensors of last.pt (first encoder.stem.1.running_mean" in err


def test_the_best_trial_of_a_sweep_whose_test_split_was_read_later_is_the_same(launch: Launch, tmp_path: Path) -> None:
    assert launch("-m", *SEARCH, "epochs=1", "hydra.sweeper.n_trials=2").code == 0
    trials = {number: read_result(tmp_path / FOLDER / str(number)) for number in (0, 1)}
    assert {result["split"] for result in trials.values()} == {"test", "validation"}
    for number, result in trials.items():
        said = launch(f"rerun={FOLDER / str(number)}", f"output_dir=again{number}")
        assert said.code == 0, said.err
        assert "bit for bit" in said.out
        assert read_result(tmp_path / f"again{number}")["top1"] == result["top1"]
    saved = load(tmp_path / "again0" / "config.yaml")
    assert saved.resume is None


def test_a_trial_may_be_tested_by_running_it_again(launch: Launch, tmp_path: Path) -> None:
    assert launch(*ONE, "task.test=false", "output_dir=run").code == 0
    said = launch("rerun=run", "task.test=true", "output_dir=again")
    assert said.code == 0, said.err
    assert "bit for bit: 2 epochs of metrics.jsonl, 4 figures of result.json" in said.out
    assert read_result(tmp_path / "again")["top1"] is not None


def test_other_constants_of_energy_are_no_difference_of_the_training(launch: Launch, run: Path) -> None:
    said = launch("rerun=run", "energy.mac_pj=1.0", "output_dir=again")
    assert said.code == 0, said.err
    assert read_result(Path("again"))["energy_mj"] != read_result(run)["energy_mj"]


def test_of_a_run_that_did_not_end_only_what_is_there_is_compared(launch: Launch, tmp_path: Path) -> None:
    assert launch(*ONE, "epochs=1000", "max_steps=4", "output_dir=run").code == 0
    for name in ("result.json", "energy.csv", "report.html"):  # as one that was killed after its second epoch
        (tmp_path / "run" / name).unlink()
    path = tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"max_steps": 9}))
    count = len(read_metrics(tmp_path / "run"))
    said = launch("rerun=run", "output_dir=again")
    assert said.code == 0, said.err
    assert f"bit for bit, as far as it got ({count} of 1000 epochs): " in said.out
    assert "result.json" not in said.out.splitlines()[-1]
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    said = launch("rerun=run", "output_dir=more")
    assert said.code == 0, said.err
    assert "holds nothing to compare with" in said.out


@pytest.mark.usefixtures("run")
def test_a_rerun_that_was_stopped_goes_on_and_is_compared_at_its_end(launch: Launch) -> None:
    said = launch("rerun=run", "output_dir=again", "max_minutes=1e-9")
    assert said.code == 99, said.err
    assert "rerun  " not in said.out
    said = launch("resume=again", "max_minutes=null")
    assert said.code == 0, said.err
    assert "bit for bit: 2 epochs of metrics.jsonl" in said.out


def test_a_measurement_is_run_again_too(launch: Launch, run: Path) -> None:
    arguments = ("checkpoint=run/checkpoints/best.pt", "hardware.threads=1", "limit_eval=16", "output_dir=measured")
    assert launch("task=energy", *arguments).code == 0
    said = launch("rerun=measured", "output_dir=again")
    assert said.code == 0, said.err
    assert "bit for bit: " in said.out
    assert read_result(Path("again"))["images"] == 16
    said = launch("rerun=measured", "task.split=validation", "output_dir=other")
    assert said.code == 0, said.err
    assert read_result(Path("other"))["split"] == "validation"


def test_a_grid_repeats_a_run_with_other_seeds(launch: Launch, run: Path, tmp_path: Path) -> None:
    said = launch("-m", "rerun=run", "seed=1,2")
    assert said.code == 0, said.err
    found = [load(path) for path in (tmp_path / "multirun").rglob("config.yaml")]
    assert sorted(config.seed for config in found) == [1, 2]
    assert {config.optimizer.lr for config in found} == {0.05}
    assert said.out.count(f"of {run}, but seed is 0 there") == 2


def test_a_run_of_schema_1_is_run_again(launch: Launch, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "frozen" / "schema1" / "run", tmp_path / "run")
    code, out, err = launch("rerun=run", "hardware=cpu", "hardware.threads=1", "output_dir=again")
    assert code in (0, 1), err  # the numbers are of another machine and version
    if code == 1:
        assert "not the same: " in err
        assert "drew random numbers otherwise" in err
    assert "epoch 2/2" in out
    assert read_result(tmp_path / "again")["config_hash"] == read_result(tmp_path / "run")["config_hash"]


def test_what_has_no_meaning_with_it_is_refused(launch: Launch, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (("rerun=nowhere",), "rerun=nowhere: no such run directory"),
        (("rerun=empty",), "rerun=empty: no config.yaml in it, so it is no run directory"),
        (("rerun=run", "resume=run"), "rerun=run resume=run: a run is run again or gone on with; give one of them"),
        (("rerun=run", "preset=faithful"), "rerun=run: preset=NAME sets whole groups"),
        (("rerun=run", "output_dir=run"), "output_dir=run: in the run that is run again"),
        (("rerun=run", "output_dir=run/x"), "output_dir=run/x: in the run that is run again"),
        (("rerun=run", "task=energy"), "rerun=run: that was task=train; leave task=energy out"),
        (("rerun=run", "optimizer.betas=[0.9,0.99]"), "this choice of optimizer has no such option"),
        (("rerun=run", "T=0"), "T=0: should be greater"),
    ):
        assert said in refused(launch, tmp_path, *arguments)
    code, _, err = launch("-m", *SEARCH, "rerun=run")
    assert (code, err.count("\n")) == (2, 1)
    assert "the trials of a search are not reruns" in err
    assert not (tmp_path / FOLDER / "study.json").exists()
    (run / "result.json").write_text("{")
    assert "result.json is damaged" in refused(launch, tmp_path, "rerun=run")


@pytest.mark.slow
def test_processes_compare_once_and_all_end_alike(launch: Launch, run: Path) -> None:
    assert launch(*ONE, "hardware.processes=2", "output_dir=two").code == 0
    said = launch("rerun=two", "output_dir=again")
    assert (said.code, said.err) == (0, "")
    code, _, err = launch("rerun=run", "hardware.processes=2", "output_dir=other")
    assert (code, err.count("\n")) == (1, 1)
    assert "hardware.processes is 1 there and 2 here" in err


def test_another_network_has_the_layout_that_the_run_named(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    images = ("dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=32", "hardware.workers=0", "batch_size=16")
    named = ("dataset.layout=imagenet", "neuron=imagenet", "model=resnet18")
    assert launch(*TINY, *images, *named, "max_steps=1", "output_dir=run").code == 0
    assert launch("rerun=run", "model=resnet34", "output_dir=again").code == 0
    made = load(tmp_path / "again" / "config.yaml")
    assert (made.model.name, made.model.layout, made.dataset.layout) == ("resnet34", "imagenet", "imagenet")
