"""Trials that are means over seeds: what they say, that they may end between seeds, and that they go on after a stop."""

import signal
from pathlib import Path
from statistics import mean

import pytest
from optuna.trial import TrialState
from program import FOLDER, SEARCH, SMALL, Launch, read_metrics, read_result, refused, start, wait_for
from storms import assert_same_weights
from studies import load

REPEATS = "hydra.sweeper.repeats=3"


def test_a_trial_is_the_mean_over_its_seeds_and_all_of_the_best_are_tested(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch("-m", *SEARCH, "epochs=1", "hydra.sweeper.n_trials=2", "hydra.sweeper.repeats=2", "seed=4")
    assert code == 0, err
    study = load(tmp_path / FOLDER)
    for trial in study.trials:
        runs = sorted((tmp_path / FOLDER / str(trial.number)).glob("seed-*"))
        assert [run.name for run in runs] == ["seed-4", "seed-5"]
        results = [read_result(run) for run in runs]
        assert [result["seed"] for result in results] == [4, 5]
        assert trial.value == pytest.approx(mean(result["validation_top1"] for result in results))
        assert trial.user_attrs["epochs"] == 2
        tested = [result["top1"] is not None for result in results]
        assert tested == [trial.number == study.best_trial.number] * 2
    code, out, err = launch("task=study", f"study={FOLDER}")
    assert code == 0, err
    assert "2 COMPLETE" in out


@pytest.mark.slow
def test_one_that_is_worse_seed_by_seed_ends_early(launch: Launch, tmp_path: Path) -> None:
    worse = ("optimizer.lr=choice(0.02,1e-7)", "T=2", "hydra.sweeper.n_trials=2")
    pruner = ("hydra/sweeper/pruner=wilcoxon", "hydra.sweeper.pruner.p_threshold=0.3", "hydra/sweeper/sampler=grid")
    options = [each for each in SMALL if not each.startswith("epochs=")]
    code, out, err = launch(
        "-m", "hydra/sweeper=study", *options, "epochs=12", *worse, *pruner, REPEATS, "hydra.sweep.dir=s"
    )
    assert code == 0, err
    best, other = load(tmp_path / "s").trials
    assert (best.state, other.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert sorted(best.intermediate_values) == [0, 1]
    assert "stopped early after 2 of 3 seeds" in out
    assert len(list((tmp_path / "s" / "1").glob("seed-*"))) == 2


@pytest.mark.slow
def test_a_trial_that_is_stopped_goes_on_with_the_seed_at_work(launch: Launch, tmp_path: Path) -> None:
    options = [each for each in SEARCH if not each.startswith("epochs=")]
    searched = ("-m", *options, "epochs=20", "hydra.sweeper.n_trials=1", "hydra.sweeper.repeats=2")
    process = start(tmp_path, *searched)
    second = tmp_path / FOLDER / "0" / "seed-1" / "metrics.jsonl"
    wait_for(lambda: second.exists() and second.read_bytes().count(b"\n") >= 2, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    first = read_result(tmp_path / FOLDER / "0" / "seed-0")
    assert launch(*searched).code == 0
    dead, trial = load(tmp_path / FOLDER).trials
    assert (dead.state, trial.state) == (TrialState.FAIL, TrialState.COMPLETE)
    folder = tmp_path / FOLDER / "1"
    assert read_result(folder / "seed-0")["train_seconds"] == first["train_seconds"], "it was trained again"
    assert [line["epoch"] for line in read_metrics(folder / "seed-1")] == list(range(1, 21))
    values = [f"{name}={value}" for name, value in trial.params.items()]
    small = [each for each in SMALL if not each.startswith("epochs=")]
    assert launch(*small, *values, "epochs=20", "seed=1", "output_dir=whole").code == 0
    assert_same_weights(folder / "seed-1", tmp_path / "whole")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hydra.sweeper.repeats=0", "hydra.sweeper.repeats=0"),
        ("hydra.sweeper.repeats=2 seed=1,2", "searches the seed"),
        ("hydra.sweeper.repeats=2 hydra/sweeper/pruner=median", "hydra/sweeper/pruner=wilcoxon"),
        ("hydra/sweeper/pruner=wilcoxon", "give hydra.sweeper.repeats"),
        ("hydra.sweeper.repeats=2 hydra.sweeper.rungs=[1,2]", "has no rungs"),
    ],
)
def test_what_cannot_be_repeated_is_refused(launch: Launch, tmp_path: Path, given: str, said: str) -> None:
    assert said in refused(launch, tmp_path, "-m", *SEARCH, *given.split(" "))
