"""hydra.sweeper.rungs: trials pause and go on from where they were, and one that went on is as one that never paused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from program import FOLDER, QUICK, ROOT, SEARCH, SMALL, Launch, read_metrics, read_result, refused
from storms import assert_same_weights
from studies import load

from gacsnn.sweep.claims import chains

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


# The program, which kills itself in place of a report about this epoch.
KILLED = """
import os, signal, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import launch
from gacsnn.sweep.reporter import TrialReporter
report, at = TrialReporter.__call__, int(sys.argv[2])
def killed(self, line):
    report(self, line) if line["epoch"] < at else os.kill(os.getpid(), signal.SIGKILL)
TrialReporter.__call__ = killed
sys.argv = [sys.argv[1], *sys.argv[3:]]
launch.program()
"""


def decisions(folder: Path) -> list[tuple[str, list[int]]]:
    """The state in which each configuration ended, and the epochs that the study knows of it."""
    found = chains(load(folder / FOLDER).trials)
    return [(one[-1].state.name, sorted({e for trial in one for e in trial.intermediate_values})) for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_trials_killed_between_a_checkpoint_and_its_report_meet_the_same_rungs(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    command = ("-m", *SHORT, "hydra.sweeper.n_trials=3", *RUNGS, "hydra.sweeper.test=none")
    (tmp_path / "killed").mkdir()
    killing = [sys.executable, "-c", KILLED, str(ROOT / "launch.py"), str(epoch), *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(killing, cwd=tmp_path / "killed", env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert launch(*command).code == 0
    monkeypatch.chdir(tmp_path / "killed")
    assert launch(*command).code == 0
    assert decisions(tmp_path / "killed") == decisions(tmp_path)


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
