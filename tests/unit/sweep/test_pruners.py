"""The pruners' options, and the benchmark that replays them."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from program import ROOT

from gacsnn.errors import InputError
from gacsnn.sweep.plugin import register
from gacsnn.sweep.pruners import PRUNERS, for_epochs
from gacsnn.sweep.samplers import make

register()


def node_of(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf")):
        composed = compose("config", overrides=["hydra/sweeper=study", *overrides], return_hydra_config=True)
    return composed.hydra.sweeper.pruner


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pruners_benchmark", Path(ROOT) / "benchmarks" / "pruners.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PRUNERS)
def test_pruner_with_its_defaults_is_made(name: str) -> None:
    assert isinstance(
        make("pruner", for_epochs(node_of(f"hydra/sweeper/pruner={name}"), 18)), optuna.pruners.BasePruner
    )


@pytest.mark.parametrize(
    ("overrides", "epochs", "expected"),
    [
        (("hydra/sweeper/pruner=median",), 18, {"n_warmup_steps": 6}),
        (("hydra/sweeper/pruner=median",), 250, {"n_warmup_steps": 83}),
        (("hydra/sweeper/pruner=hyperband",), 18, {"min_resource": 6, "max_resource": 18}),
        (("hydra/sweeper/pruner=halving",), 1, {"min_resource": 1}),
        (("hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_warmup_steps=0"), 18, {"n_warmup_steps": 0}),
        (("hydra/sweeper/pruner=hyperband", "hydra.sweeper.pruner.max_resource=auto"), 18, {"max_resource": "auto"}),
    ],
)
def test_null_option_becomes_a_third_of_the_epochs_and_a_number_stays(
    overrides: tuple[str, ...], epochs: int, expected: dict[str, Any]
) -> None:
    node = for_epochs(node_of(*overrides), epochs)
    assert {name: node[name] for name in expected} == expected


def test_wrong_option_of_a_pruner_is_refused_by_name() -> None:
    node = node_of("hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_warmup_steps=-1")
    with pytest.raises(InputError, match=r"hydra.sweeper.pruner: .*warmup steps cannot be negative"):
        make("pruner", for_epochs(node, 18))


@pytest.mark.parametrize(("pruner", "option"), [("median", "n_warmup_steps"), ("hyperband", "min_resource")])
def test_first_decision_after_the_last_epoch_is_refused(pruner: str, option: str) -> None:
    node = node_of(f"hydra/sweeper/pruner={pruner}", f"hydra.sweeper.pruner.{option}=18")
    with pytest.raises(InputError, match=rf"hydra.sweeper.pruner.{option}=18: would stop no trial of 18 epochs"):
        for_epochs(node, 18)


def test_saved_sweep_does_not_prune_in_the_first_third() -> None:
    node = for_epochs(node_of("sweeps=t_lr_prune"), 18)
    assert node["n_warmup_steps"] == 6
    assert node["n_startup_trials"] >= 5


LATE_WINNER = [[50.0, 60.0, 61.0], [51.0, 61.0, 62.0], [10.0, 20.0, 99.0]]


@pytest.mark.parametrize(("warmup", "kept", "lost", "used"), [(0, False, 37.0, 7 / 9), (3, True, 0.0, 1.0)])
def test_replay_of_a_late_winner_counts_whether_it_was_kept(
    benchmark: ModuleType, warmup: int, kept: bool, lost: float, used: float
) -> None:
    result = benchmark.replay(optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=warmup), LATE_WINNER)
    assert result == benchmark.Replay(kept, pytest.approx(lost), pytest.approx(used))


def test_table_of_a_pruner_that_stops_nothing_shows_no_loss(benchmark: ModuleType) -> None:
    row = benchmark.row_of("none", {}, benchmark.pow3_curves(40), searches=2)
    assert row == ["none", "default", "100 %", "0.000", "0 %"]


def test_recorded_curves_have_a_score_for_each_epoch(benchmark: ModuleType) -> None:
    runs = benchmark.read_curves()
    assert len(runs) >= 200
    assert {len(run["validation_top1"]) for run in runs} == {benchmark.EPOCHS}
    assert [run["seed"] for run in runs] == [*range(len(runs))]
    assert runs[7].items() >= benchmark.options_of(7).items()
