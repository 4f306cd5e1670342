"""What is wrong with `hydra.sweeper` itself."""

import math
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from program import ROOT

from gacsnn.errors import InputError
from gacsnn.sweep.options import read_options


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    with initialize_config_dir(str(ROOT / "conf")):
        composed = compose("config", overrides=["sweeps=t_lr"], return_hydra_config=True)
    node = composed.hydra.sweeper
    return {str(name): OmegaConf.to_container(node).get(name) if name == "study_name" else node[name] for name in node}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("max_failure_rate", -1, "should be greater than or equal to 0"),
        ("max_failure_rate", math.nan, "should be a finite number"),
        ("lease_seconds", 1e-9, "should be greater than or equal to 1"),
        ("lease_seconds", math.nan, "should be a finite number"),
        ("max_retries", -1, "should be greater than or equal to 0"),
        ("reuse", 7, "hydra.sweeper.reuse=7: should be a valid boolean"),
        ("verbose", "sometimes", "should be a valid boolean"),
        ("n_trials", -1, "should be greater than or equal to 1"),
        ("n_jobs", 0, "should be greater than or equal to 1"),
        ("n_jobs", 10**9, "should be less than or equal to 65536"),
        ("repeats", 10**12, "should be less than or equal to 10000"),
        ("budget_hours", -1.0, "should be greater than 0"),
        ("budget_gpu_hours", math.inf, "should be a finite number"),
        ("direction", None, "hydra.sweeper.direction=null: choose one of maximize, minimize"),
        ("direction", ["maximize", "minimize"], "give one direction an objective"),
        ("direction", [], "give one direction an objective"),
        ("objectives", [], "hydra.sweeper.objectives=[]: give one at least"),
        ("confirm", {"top": 3, "seeds": 10**12}, "numbers from 1 to 10,000"),
        ("storage", "", "should be a database that is kept"),
        ("storage", "sqlite://", "should be a database that is kept"),
        ("storage", "journal:", "should be a database that is kept"),
        ("study_name", "", "hydra.sweeper.study_name=: should be a name"),
        ("study_name", " ", "should be a name"),
        ("study_name", "../elsewhere", "should be a name"),
        ("study_name", "/tmp/elsewhere", "should be a name"),
    ],
)
def test_a_wrong_one_is_one_line(given: dict[str, Any], option: str, value: object, said: str) -> None:
    right = {**given, "study_name": "s"}
    assert read_options({**right, "study_name": "group/s"}).study_name == "group/s"
    with pytest.raises(InputError) as refused:
        read_options({**right, option: value})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
