"""A search whose processes are killed, at whatever moment, decides as one in which none was."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hydra.core.utils import JobReturn, JobStatus
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from gacsnn.errors import Pruned
from gacsnn.sweep import claims, leases
from gacsnn.sweep.claims import PREPARED, chains, claim, new_trial_index
from gacsnn.sweep.endings import tell
from gacsnn.sweep.patient import PatientStorage
from gacsnn.sweep.reporter import TrialReporter
from gacsnn.sweep.rungs import PAUSED, Rungs, promote
from gacsnn.sweep.storage import open_study

TRIALS, EPOCHS = 5, 4
SPACE = {name: FloatDistribution(0.0, 1.0) for name in ("x", "y")}
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "rungs": optuna.pruners.NopPruner,
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=1),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=2),
}


class KilledError(BaseException):
    """The end of a process, of which it hears nothing."""


class Machine(PatientStorage):
    """A storage and a disk, and a process that is killed before, between and after what it writes there."""

    def __init__(self, inner: BaseStorage) -> None:
        super().__init__(inner, "the storage", None, 0.0)
        self.saved: dict[int, list[dict[str, Any]]] = {}
        self.moments, self.kills, self.starts = 0, set[int](), 0

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if method.startswith(("set_", "create_new_trial")):
            self.moment()
        return getattr(self.inner, method)(*args, **kwargs)

    def moment(self) -> None:
        self.moments += 1
        if self.moments in self.kills:
            raise KilledError

    def search(self, kind: str, study: optuna.Study) -> None:
        study.pruner = PRUNERS[kind]()
        rungs = Rungs([1, 2, EPOCHS], 2) if kind == "rungs" else None
        while True:
            trial = claim(
                study,
                TRIALS,
                10,
                60.0,
                lambda index: optuna.samplers.RandomSampler(seed=index),
                lambda: None if rungs is None else promote(study, rungs, TRIALS),
            )
            if trial is None:
                return
            for name, distribution in SPACE.items():
                trial._suggest(name, distribution)
            trial.set_user_attr(PREPARED, "hash")
            tell(study, ["validation_top1"], trial, self.run(study, trial, rungs))

    def run(self, study: optuna.Study, trial: optuna.Trial, rungs: Rungs | None) -> JobReturn:
        first = claims.ancestors(study.get_trials(deepcopy=False), trial)[-1]
        saved = self.saved.setdefault(new_trial_index(study, first), [])
        report = TrialReporter(study, trial.number, "validation_top1", rungs, last=EPOCHS)
        x, y = trial.params["x"], trial.params["y"]
        try:
            for line in saved:
                report(line)
            for epoch in range(len(saved) + 1, EPOCHS + 1):
                self.moment()
                saved.append({"epoch": epoch, "validation_top1": 10 * x + (y - 0.3) * epoch**2})
                self.moment()
                report(saved[-1])
        except Pruned as pruned:
            return JobReturn(status=JobStatus.FAILED, _return_value=pruned)
        return JobReturn(status=JobStatus.COMPLETED, _return_value=saved[-1]["validation_top1"])


def searched(kind: str, kills: set[int], monkeypatch: pytest.MonkeyPatch) -> tuple[Machine, list[Any]]:
    """The search, started again after each kill, and what is known of each configuration at its end."""
    machine = Machine(optuna.storages.InMemoryStorage())
    study = open_study("s", machine, ["maximize"], {})
    machine.moments, machine.kills = 0, kills
    monkeypatch.setattr(leases, "UNOWNED", -1.0)
    monkeypatch.setattr(leases, "process_start", lambda _pid: str(machine.starts))
    while True:
        try:
            machine.search(kind, study)
            break
        except KilledError:
            machine.starts += 1
    found = []
    for chain in chains(study.get_trials()):
        values = {epoch: value for trial in chain for epoch, value in trial.intermediate_values.items()}
        paused = [
            one.user_attrs[PAUSED] for one in chain if one.state == TrialState.PRUNED and PAUSED in one.user_attrs
        ]
        last = chain[-1]
        found.append((last.params, values, last.state, last.value, paused))
    return machine, found


@pytest.mark.parametrize("kind", PRUNERS)
def test_a_search_that_is_killed_at_any_moment_decides_as_one_that_is_not(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, undisturbed = searched(kind, set(), monkeypatch)
    states = {state for _params, _values, state, _value, _paused in undisturbed}
    assert {TrialState.COMPLETE, TrialState.PRUNED} == states, "nothing to decide in this search"
    for moment in range(1, machine.moments + 1):
        disturbed, found = searched(kind, {moment}, monkeypatch)
        assert disturbed.starts == 1
        assert found == undisturbed, f"killed at moment {moment}"


@pytest.mark.parametrize("kind", PRUNERS)
def test_a_search_that_is_killed_again_and_again_decides_as_one_that_is_not(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, undisturbed = searched(kind, set(), monkeypatch)
    for every in (29, 37, 43):
        disturbed, found = searched(kind, set(range(every, 2000, every)), monkeypatch)
        assert disturbed.starts >= 2
        assert found == undisturbed, f"killed at every {every}th moment"
