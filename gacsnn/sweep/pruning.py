"""A pruner's decision. The pruner sees each configuration once, whatever became of the processes that ran it.

Optuna's pruners know trials alone: to successive halving a trial and its retry are two competitors, and Hyperband chooses the
bracket of a trial by its number, which is another one for the retry and for all trials after it.
"""

import copy
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from gacsnn.sweep.claims import chains
from gacsnn.sweep.patient import PatientStorage


def is_pruned(study: optuna.Study, trial_id: int) -> bool:
    """Ask the study's pruner whether a running trial is to be stopped now."""
    if isinstance(study.pruner, optuna.pruners.NopPruner):
        return False
    storage = UndisturbedStorage(study._storage, trial_id)
    view = optuna.load_study(study_name=study.study_name, storage=storage, sampler=study.sampler, pruner=study.pruner)
    (trial,) = (each for each in view.get_trials(deepcopy=False) if each._trial_id == trial_id)
    return study.pruner.prune(view, trial)


class UndisturbedStorage(PatientStorage):
    """A storage whose trials are those of a search in which no process was killed; `asked` is the trial that is decided on."""

    def __init__(self, inner: BaseStorage, asked: int) -> None:
        self.inner, self.asked = inner, asked

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.inner, method)(*args, **kwargs)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = chains(self.inner.get_all_trials(study_id, deepcopy=deepcopy))
        trials = [self.as_one(number, chain) for number, chain in enumerate(found)]
        return [trial for trial in trials if states is None or trial.state in states]

    def as_one(self, number: int, chain: Sequence[FrozenTrial]) -> FrozenTrial:
        """Return the last trial of a chain, with its place among the configurations as its number.

        A retry that has not yet repeated the reports of the trials before it has theirs; the asked trial has its own alone.
        """
        trial = copy.copy(chain[-1])
        trial.number = number
        if trial._trial_id != self.asked:
            trial.intermediate_values = merged(one.intermediate_values for one in chain)
            trial.system_attrs = merged(one.system_attrs for one in chain)
        return trial


def merged(values: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Return one mapping of several, in which the last one wins."""
    found: dict[Any, Any] = {}
    for each in values:
        found.update(each)
    return found
