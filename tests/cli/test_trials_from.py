"""Trials of another study: those that would be run the same are taken over, of the others it is said why not."""

import shutil
from pathlib import Path

import pytest
from optuna.trial import TrialState
from program import FOLDER, SEARCH, Launch, read_result, refused
from storms import must_succeed
from studies import load

SHORT = (*SEARCH[2:], "epochs=1")
GRID = ("-m", "hydra/sweeper=study", "hydra/sweeper/sampler=grid", *SHORT, "hydra.sweeper.n_trials=9")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    named = ("hydra.sweep.dir=other", "hydra.sweeper.study_name=other")
    must_succeed(folder, *GRID, "T=1,2", "optimizer.lr=choice(0.01)", *named)
    return folder / "other"


@pytest.fixture
def other(made: Path, tmp_path: Path) -> str:
    """A study over T at one rate, which may be moved: each test has its own."""
    shutil.copytree(made, tmp_path / "other")
    return "hydra.sweeper.trials_from=[other]"


def test_equal_trials_are_taken_over_and_not_run_again(launch: Launch, tmp_path: Path, other: str) -> None:
    wider = (*GRID, "T=choice(2)", "optimizer.lr=choice(0.01,0.02)", "hydra.sweep.dir=here", other)
    code, out, err = launch(*wider)
    assert code == 0, err
    assert "1 of 2 complete trials taken from other" in out
    assert "not taken: 1: T=1 is not searched here" in out
    study = load(tmp_path / "here")
    taken, *own = study.trials
    assert taken.user_attrs["taken_from"] == str(tmp_path / "other" / "1")
    assert taken.params == {"T": 2, "optimizer.lr": 0.01}
    assert taken.values == [read_result(tmp_path / "other" / "1")["validation_top1"]]
    assert [(trial.params["T"], trial.params["optimizer.lr"]) for trial in own] == [(2, 0.01), (2, 0.02)]
    assert own[0].user_attrs["reused"] == taken.number
    assert sorted(path.name for path in (tmp_path / "here").iterdir() if path.is_dir()) == ["2"]

    assert launch(*wider).code == 0
    assert len(load(tmp_path / "here").trials) == len(study.trials), "taken twice"
    code, out, err = launch("task=study", "study=here")
    assert code == 0, err
    assert f"taken from {tmp_path / 'other' / '1'}" in out


def test_trials_of_other_options_are_refused_with_the_option(launch: Launch, tmp_path: Path, other: str) -> None:
    code, out, err = launch(
        *GRID, "T=choice(1)", "optimizer.lr=choice(0.01)", "epochs=2", "hydra.sweep.dir=here", other
    )
    assert code == 0, err
    assert "0 of 2 complete trials taken from other" in out
    assert "not taken: 1: of other options: epochs is 1 there and 2 here" in out


def test_a_fixed_option_there_may_be_a_searched_one_here(launch: Launch, tmp_path: Path, other: str) -> None:
    searched = ("-m", *SEARCH, "epochs=1", "seed=choice(0,1)", "hydra.sweeper.n_trials=1", other)
    code, _, err = launch(*searched)
    assert code == 0, err
    study = load(tmp_path / FOLDER)
    taken = [trial for trial in study.trials if "taken_from" in trial.user_attrs]
    assert [trial.params for trial in taken] == [{"seed": 0, "T": T, "optimizer.lr": 0.01} for T in (1, 2)]
    assert sum(trial.state == TrialState.COMPLETE for trial in study.trials) == 3, (
        "they count for none that is asked for"
    )


def test_a_folder_without_a_study_is_refused(launch: Launch, tmp_path: Path) -> None:
    line = refused(launch, tmp_path, "-m", *SEARCH, "hydra.sweeper.trials_from=[nowhere]")
    assert line.startswith("hydra.sweeper.trials_from: study=nowhere: no sweep in this folder")


def test_a_claim_is_not_answered_by_trials_that_were_there_before_it(
    launch: Launch, tmp_path: Path, other: str
) -> None:
    claim = 'hydra.sweeper.claim={better: "T=2", than: "T=1", on: validation_top1}'
    line = refused(launch, tmp_path, *GRID, "T=1,2", "optimizer.lr=choice(0.01)", "seed=0,1", claim, other)
    assert line.startswith("hydra.sweeper.claim: stands before the trials that answer it")


def test_one_run_is_no_mean_over_seeds_nor_the_other_way_round(launch: Launch, tmp_path: Path, other: str) -> None:
    here = (*GRID, "T=2", "optimizer.lr=choice(0.01)", "hydra.sweep.dir=here")
    line = refused(launch, tmp_path, *here, other, "hydra.sweeper.repeats=2")
    assert line.startswith("hydra.sweeper.trials_from: takes single runs over")
    assert launch(*here, "hydra.sweeper.repeats=2").code == 0
    line = refused(launch, tmp_path, *here[:-1], "hydra.sweep.dir=there", "hydra.sweeper.trials_from=[here]")
    assert line.startswith("hydra.sweeper.trials_from=here: its trials are means over 2 seeds")
