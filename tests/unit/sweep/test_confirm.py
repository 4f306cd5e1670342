"""When a search is over, so that what is the best in it can be said."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState
from program import ROOT

from gacsnn.sweep import confirm
from gacsnn.sweep.claims import claim, finish_early
from gacsnn.sweep.confirm import confirmation, is_finished
from gacsnn.sweep.confirmed import CANDIDATE, confirmed
from gacsnn.sweep.options import SweepOptions, read_options
from gacsnn.sweep.plugin import register
from gacsnn.sweep.rungs import PAUSED, Rungs, promote
from gacsnn.sweep.search import Search
from gacsnn.sweep.storage import open_study

register()


def options(*overrides: str) -> SweepOptions:
    with initialize_config_dir(str(ROOT / "conf")):
        node = compose("config", overrides=list(overrides), return_hydra_config=True).hydra.sweeper
    return read_options({key: node[key] for key in node if key not in ("_target_", "params")} | {"params": {}})


RUNGS = Rungs([1, 2], 2)


def search(pauses: bool = False) -> Any:
    """A sweep of two trials, as far as `is_finished` knows it."""
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    lines_up = (lambda: promote(study, RUNGS, 2)) if pauses else (lambda: None)
    return SimpleNamespace(study=study, n_trials=2, options=SimpleNamespace(max_retries=10), promote=lines_up)


def begin(sweep: Any) -> optuna.Trial:
    trial = claim(sweep.study, 2, 10, 60.0, lambda index: optuna.samplers.RandomSampler(seed=index))
    assert trial is not None
    return trial


def test_a_search_is_not_over_while_a_trial_that_died_is_to_be_taken_up() -> None:
    """Until its process, or another one, lines it up it looks as one that failed."""
    sweep = search()
    sweep.study.tell(begin(sweep), 1.0)
    finish_early(sweep.study, begin(sweep), "no space left", "died")
    assert not is_finished(sweep)
    again = begin(sweep)
    assert again.user_attrs["retry_of"] == 1
    sweep.study.tell(again, 2.0)
    assert is_finished(sweep)


def test_a_search_is_not_over_while_a_paused_trial_is_to_go_on() -> None:
    sweep = search(pauses=True)
    for score in (3.0, 2.0):
        trial = begin(sweep)
        trial.report(score, 1)
        trial.set_user_attr(PAUSED, 0)
        sweep.study.tell(trial, state=TrialState.PRUNED)
    assert not is_finished(sweep)
    again = begin(sweep)
    assert again.user_attrs["retry_of"] == 0
    sweep.study.tell(again, 4.0)
    assert is_finished(sweep)


@pytest.mark.parametrize(("direction", "order"), [("maximize", [1, 0, 2]), ("minimize", [2, 0, 1])])
def test_candidates_are_ranked_by_their_means_over_the_seeds(direction: str, order: list[int]) -> None:
    """Neither by their best seed nor by the search."""
    searched = open_study("s", optuna.storages.InMemoryStorage(), [direction], {})
    for value in (99.0, 50.0, 70.0):
        searched.add_trial(optuna.create_trial(value=value))
    confirming = open_study("c", optuna.storages.InMemoryStorage(), [direction], {})
    space = {CANDIDATE: CategoricalDistribution((0, 1, 2)), "seed": IntDistribution(0, 99)}
    for candidate, scores in ((0, (60.0, 80.0, 70.0)), (1, (76.0, 75.0, 74.0)), (2, (95.0, 51.0, 50.0))):
        for seed, value in enumerate(scores, start=7):
            params = {CANDIDATE: candidate, "seed": seed}
            confirming.add_trial(optuna.create_trial(params=params, distributions=space, value=value))
    found = confirmed(searched, confirming)
    assert [one.candidate.number for one in found] == order
    assert sorted(one.mean for one in found) == pytest.approx([196 / 3, 70, 75])


def test_confirmation_of_a_search_with_repeats_begins_after_the_seeds_of_the_repeats(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sweep = search()
    for value, mark in ((1.0, "a"), (3.0, "b")):
        trial = begin(sweep)
        trial.suggest_categorical("T", [1, 2])
        trial.set_user_attr("config_hash", mark)
        sweep.study.tell(trial, value)
    sweep.options = options("sweeps=t_lr", "hydra.sweeper.repeats=3", "hydra.sweeper.confirm={top:1,seeds:2}")
    sweep.search, sweep.name, sweep.folder, sweep.launcher = Search({}, ()), "s", tmp_path, None
    sweep.compose = lambda overrides: SimpleNamespace(seed=5)
    made: list[Any] = []
    monkeypatch.setattr(confirm, "Sweep", lambda *given: made.append(given))
    confirmation(sweep)
    ((given, searched, *_),) = made
    assert given.repeats == 1, "each seed is a trial of its own"
    assert given.n_trials == 2
    assert searched.space["seed"].choices == (8, 9), "5, 6 and 7 were those of the search"
    assert searched.space[CANDIDATE].choices == (1,)
