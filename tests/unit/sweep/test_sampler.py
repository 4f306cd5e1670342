"""Our TPE: with one objective it looks at all parameters together; workers keep away from each other's points."""

from pathlib import Path

import optuna
import pytest
from hydra import compose, initialize_config_dir
from optuna.distributions import FloatDistribution
from program import ROOT

from gacsnn.sweep.options import SweepOptions, read_options
from gacsnn.sweep.plugin import register
from gacsnn.sweep.samplers import sampler_of
from gacsnn.sweep.search import Search

register()
SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


def options(*overrides: str) -> SweepOptions:
    """`hydra.sweeper` as the sweeper gets it."""
    with initialize_config_dir(str(Path(ROOT) / "conf")):
        composed = compose("config", overrides=list(overrides), return_hydra_config=True)
    node = composed.hydra.sweeper
    return read_options({key: node[key] for key in node if key not in ("_target_", "params")} | {"params": {}})


@pytest.mark.parametrize(
    ("overrides", "multivariate"),
    [
        (("sweeps=t_lr",), True),
        (("sweeps=accuracy_energy",), False),
        (("sweeps=t_lr", "hydra.sweeper.sampler.multivariate=false"), False),
    ],
)
def test_parameters_are_looked_at_together_with_one_objective(overrides: tuple[str, ...], multivariate: bool) -> None:
    sampler = sampler_of(options(*overrides), Search(SPACE, ()))(0)
    assert isinstance(sampler, optuna.samplers.TPESampler)
    assert sampler._multivariate is multivariate
    assert sampler._constant_liar


def spread(overrides: tuple[str, ...]) -> float:
    """How far apart eight workers' points lie that are asked for before any is told."""
    search = Search(SPACE, ())
    sampler = sampler_of(options("sweeps=t_lr", *overrides), search)
    study = optuna.create_study()
    for index in range(30):
        study.sampler = sampler(index)
        trial = study.ask(dict(SPACE))
        study.tell(trial, (trial.params["x"] - 0.3) ** 2 + (trial.params["y"] - 0.6) ** 2)
    points = []
    for index in range(30, 38):
        study.sampler = sampler(index)
        points.append(study.ask(dict(SPACE)).params)
    pairs = [(a, b) for i, a in enumerate(points) for b in points[:i]]
    return min(max(abs(a[name] - b[name]) for name in SPACE) for a, b in pairs)


def test_workers_keep_away_from_each_other() -> None:
    assert spread(()) > spread(("hydra.sweeper.sampler.constant_liar=false",))
