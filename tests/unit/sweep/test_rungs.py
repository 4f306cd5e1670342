"""Who pauses at a rung, who goes on, and that many processes at once promote nobody twice."""

import random
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import Pruned
from gacsnn.sweep.claims import claim, effective_trials, finish_early, is_new
from gacsnn.sweep.reporter import TrialReporter
from gacsnn.sweep.rungs import Rungs, climbers, promote
from gacsnn.sweep.storage import open_study


def sampler(index: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=index)


def climb(study: optuna.Study, trial: optuna.Trial, rungs: Rungs, noise: random.Random) -> None:
    """A run of this trial from where it paused: its score grows with its epochs and with x."""
    report = TrialReporter(study, trial.number, "validation_top1", rungs)
    x = trial.suggest_float("x", 0, 1)
    before = next(other for other in climbers(study.get_trials(deepcopy=False)) if other.last.number == trial.number)
    begun = max((epoch for other in before.trials for epoch in other.intermediate_values), default=0)
    for epoch in range(begun + 1, rungs.epochs[-1] + 1):
        try:
            report({"epoch": epoch, "validation_top1": 10 * x + epoch + noise.uniform(0, 0.1)})
        except Pruned:
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, 10 * x + rungs.epochs[-1])


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 14), st.integers(2, 4), st.integers(1, 3), st.integers(0, 1000))
def test_of_each_rung_the_best_go_on_and_one_at_least_reaches_the_end(
    n_trials: int, factor: int, workers: int, seed: int
) -> None:
    rungs, noise = Rungs([1, 3, 9], factor), random.Random(seed)
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    study.pruner = optuna.pruners.NopPruner()
    at_work: list[optuna.Trial] = []
    while True:
        while len(at_work) < workers:
            trial = claim(study, n_trials, 10, 60.0, sampler, lambda: promote(study, rungs, n_trials))
            if trial is None:
                break
            at_work.append(trial)
        if not at_work:
            break
        climb(study, at_work.pop(noise.randrange(len(at_work))), rungs, noise)
    found = climbers(study.get_trials(deepcopy=False))
    assert len(found) == sum(map(is_new, study.trials)) == n_trials == len(effective_trials(study))
    reached = {epoch: [one for one in found if one.score(epoch) is not None] for epoch in rungs.epochs}
    assert len(reached[1]) == n_trials
    for low, high in ((1, 3), (3, 9)):
        assert len(reached[high]) >= max(1, len(reached[low]) // factor)
        # None of those that would be promoted now was left standing.
        ranked = sorted(reached[low], key=lambda one: -(one.score(low) or 0.0))
        assert all(one in reached[high] for one in ranked[: len(reached[low]) // factor])
    assert sum(one.last.state == TrialState.COMPLETE for one in found) == len(reached[9])
    for one in found:
        epochs = [epoch for trial in one.trials for epoch in sorted(trial.intermediate_values)]
        assert epochs == list(range(1, len(epochs) + 1)), "an epoch was lost, or done twice"


def test_two_that_promote_at_once_make_one_trial_of_it() -> None:
    rungs, noise = Rungs([1, 2], 2), random.Random(0)
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    study.pruner = optuna.pruners.NopPruner()
    for _ in range(2):
        trial = claim(study, 2, 10, 60.0, sampler)
        assert trial is not None
        climb(study, trial, rungs, noise)
    promote(study, rungs, 2)
    promote(study, rungs, 2)
    assert sum(trial.state == TrialState.WAITING for trial in study.trials) == 1
    study.enqueue_trial(study.trials[-1].params, user_attrs=study.trials[-1].user_attrs)  # as the other saw it
    assert claim(study, 2, 10, 60.0, sampler) is not None
    assert claim(study, 2, 10, 60.0, sampler) is None
    assert len(effective_trials(study)) == 2


def test_nothing_is_stopped_after_its_last_epoch() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    study.pruner = optuna.pruners.ThresholdPruner(lower=50.0)
    trial = study.ask()
    report = TrialReporter(study, trial.number, "validation_top1", last=3)
    line = {"epoch": 3, "validation_top1": 10.0}
    report(line)
    assert study.trials[0].intermediate_values == {3: 10.0}
    with pytest.raises(Pruned, match="stopped early after epoch 2"):
        report({**line, "epoch": 2})


def test_retry_after_a_positive_decision_is_not_decided_again_when_others_have_overtaken_it() -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    study.pruner = optuna.pruners.ThresholdPruner(lower=50.0)
    killed = study.ask()
    report = TrialReporter(study, killed.number, "validation_top1", last=9)
    report({"epoch": 1, "validation_top1": 60.0})
    finish_early(study, killed, "killed", "died")
    study.enqueue_trial({}, user_attrs={"retry_of": killed.number})
    study.pruner = optuna.pruners.ThresholdPruner(lower=70.0)  # as if better trials had finished meanwhile
    retry = TrialReporter(study, study.ask().number, "validation_top1", last=9)
    retry({"epoch": 1, "validation_top1": 60.0})
    with pytest.raises(Pruned, match="stopped early after epoch 2"):
        retry({"epoch": 2, "validation_top1": 65.0})


def test_promotion_while_another_worker_asks_for_a_trial_does_not_look_beyond_its_own_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = open_study("s", optuna.storages.InMemoryStorage(), ["maximize"], {})
    read = study.get_trials

    def read_then_ask(**options: Any) -> list[FrozenTrial]:
        found = read(**options)
        study.ask()
        return found

    monkeypatch.setattr(study, "get_trials", read_then_ask)
    promote(study, Rungs([1, 2], 2), 10)
    promote(study, Rungs([1, 2], 2), 10)
