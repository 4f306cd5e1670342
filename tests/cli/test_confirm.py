"""The best trials of a search again, with fresh seeds: the winner is chosen by those, and it alone is tested."""

from pathlib import Path
from statistics import mean

import pytest
from program import FOLDER, SEARCH, Launch, read_result, refused, start
from studies import load

CONFIRM = "hydra.sweeper.confirm={top:2,seeds:2}"


def test_the_best_are_confirmed_and_only_the_winner_is_tested(launch: Launch, tmp_path: Path) -> None:
    searched = ("-m", *SEARCH, "epochs=1", "hydra.sweeper.n_trials=3", CONFIRM)
    code, out, err = launch(*searched)
    assert code == 0, err
    study = load(tmp_path / FOLDER)
    best_two = sorted(study.trials, key=lambda trial: (-trial.values[0], trial.number))[:2]
    assert all(read_result(tmp_path / FOLDER / str(trial.number))["top1"] is None for trial in study.trials)
    folder = tmp_path / FOLDER / "confirm-3"
    again = load(folder).trials
    assert [(trial.params["candidate"], trial.params["seed"]) for trial in again] == [
        (trial.number, seed) for trial in best_two for seed in (1, 2)
    ]
    means, tested = {}, set()
    for trial in best_two:
        results = [read_result(folder / str(each.number)) for each in again if each.params["candidate"] == trial.number]
        assert [(result["T"], result["seed"]) for result in results] == [(trial.params["T"], seed) for seed in (1, 2)]
        means[trial.number] = mean(result["validation_top1"] for result in results)
        tested |= {trial.number for result in results if result["top1"] is not None}
        assert len({result["top1"] is None for result in results}) == 1
    winner = max(means, key=lambda number: means[number])
    assert tested == {winner}
    assert f"confirmed as the best: trial {winner}, validation_top1 {means[winner]:.4g} over 2 seeds" in out

    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    assert launch(*searched).code == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*/*.json")} == {
        path: time for path, time in before.items() if path.parent != folder
    }

    code, out, err = launch("task=study", f"study={FOLDER}")
    assert code == 0, err
    at = out.splitlines().index(next(line for line in out.splitlines() if line.startswith("the best ones again")))
    assert out.splitlines()[at + 2].split()[0] == str(winner)


@pytest.mark.slow
def test_other_seeds_than_it_was_begun_with_are_refused_in_the_words_of_the_option(launch: Launch) -> None:
    searched = ("-m", *SEARCH, "hydra.sweeper.n_trials=2")
    assert launch(*searched, "hydra.sweeper.confirm={top:1,seeds:1}").code == 0
    code, _out, err = launch(*searched, "hydra.sweeper.confirm={top:1,seeds:2}")
    assert code == 2
    assert err.startswith("error: hydra.sweeper.confirm: ")
    assert "confirm-2 was begun with other trials or seeds" in err
    assert "or a larger hydra.sweeper.n_trials" in err
    code, _out, err = launch(*searched[:-1], "hydra.sweeper.n_trials=3", "hydra.sweeper.confirm={top:1,seeds:2}")
    assert code == 0, err


@pytest.mark.slow
def test_two_workers_share_what_is_to_be_confirmed(tmp_path: Path) -> None:
    process = start(tmp_path, "-m", *SEARCH, "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", CONFIRM)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    trials = load(tmp_path / FOLDER / "confirm-3").trials
    assert len(trials) == 4
    assert len({trial.user_attrs["owner"]["pid"] for trial in trials}) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hydra.sweeper.confirm={top:0,seeds:2}", "numbers from 1 to 10,000"),
        ("hydra.sweeper.confirm={top:2}", "should be {top: 3, seeds: 5}"),
        ("hydra.sweeper.confirm=yes", "should be {top: 3, seeds: 5}"),
        (f"{CONFIRM} hydra.sweeper.test=all", "keeps the test split for the winner"),
        (f"{CONFIRM} seed=1,2", "searches the seed"),
        (f"{CONFIRM} sweeps=accuracy_energy", "of several objectives there is no best one"),
    ],
)
def test_what_cannot_be_confirmed_is_refused(launch: Launch, tmp_path: Path, given: str, said: str) -> None:
    arguments = [each for each in SEARCH if not (each.startswith("sweeps") and "sweeps" in given)]
    line = refused(launch, tmp_path, "-m", *arguments, *given.split(" "))
    assert line.startswith("hydra.sweeper.confirm")
    assert said in line
