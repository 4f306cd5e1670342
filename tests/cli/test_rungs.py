"""hydra.sweeper.rungs: trials pause and go on from where they were, and one that went on is as one that never paused."""

from pathlib import Path

import pytest
from program import FOLDER, QUICK, SEARCH, SMALL, Launch, read_metrics, read_result, refused
from storms import assert_same_weights
from studies import load

RUNGS = ("hydra.sweeper.rungs=[1,2,4]", "hydra.sweeper.reduction_factor=2")
SHORT = [each for each in SEARCH if not each.startswith("epochs=")]


@pytest.mark.slow
def test_the_best_of_each_rung_goes_on_and_ends_as_one_that_never_paused(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch("-m", *SHORT, "hydra.sweeper.n_trials=4", *RUNGS)
    assert code == 0, err
    assert err == ""
    trials = load(tmp_path / FOLDER).trials
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert complete
    ended = [trial for trial in trials if (tmp_path / FOLDER / str(trial.number)).is_dir()]
    assert len(ended) == 4, "a trial that goes on takes its directory along"
    assert {len(read_metrics(tmp_path / FOLDER / str(trial.number))) for trial in ended} <= {1, 2, 4}
    assert "paused after epoch 1" in out
    one = complete[0]
    values = [f"{name}={value}" for name, value in one.params.items()]
    options = [each for each in SMALL if not each.startswith("epochs=")]
    assert launch(*options, *values, "epochs=4", "output_dir=whole").code == 0
    assert_same_weights(tmp_path / FOLDER / str(one.number), tmp_path / "whole")
    assert (
        read_result(tmp_path / FOLDER / str(one.number))["config_hash"]
        == read_result(tmp_path / "whole")["config_hash"]
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hydra.sweeper.rungs=[3]", "should be epochs that grow"),
        pytest.param("hydra.sweeper.rungs=[3,2]", "should be epochs that grow", marks=pytest.mark.slow),
        pytest.param("hydra.sweeper.rungs=[0,2]", "should be epochs that grow", marks=pytest.mark.slow),
        ("hydra.sweeper.reduction_factor=1", "hydra.sweeper.reduction_factor=1"),
        ("hydra.sweeper.rungs=[1,2] epochs=3", "a whole run is of the last rung's 2 epochs"),
        ("hydra.sweeper.rungs=[1,2] epochs=2,4", "a whole run is of the last rung's 2 epochs"),
        ("hydra.sweeper.rungs=[1,2] hydra/sweeper/pruner=median", "use hydra/sweeper/pruner=none"),
        ("hydra.sweeper.rungs=[1,2] hydra.sweeper.objectives=[energy_mj]", "energy_mj is not known after each epoch"),
    ],
)
def test_wrong_rungs_are_refused(launch: Launch, tmp_path: Path, given: str, said: str) -> None:
    assert said in refused(launch, tmp_path, "-m", *SHORT, *given.split(" "))


def test_the_epochs_of_the_last_rung_may_be_given_as_well(launch: Launch) -> None:
    code, _out, err = launch("-m", *QUICK, "hydra.sweeper.rungs=[1,2]", "epochs=2", "hydra.sweeper.n_trials=1")
    assert code == 0, err
