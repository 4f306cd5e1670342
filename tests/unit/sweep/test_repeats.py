"""Between the seeds of a trial."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import optuna
from hydra.core.utils import JobReturn, JobStatus
from optuna.trial import TrialState

from gacsnn.errors import TakenOverError
from gacsnn.sweep.repeats import launch


def test_a_trial_that_became_anothers_between_two_seeds_has_no_further_one() -> None:
    """Its process was held up for longer than its lease while a run of it came to its end: the next look is here."""
    study = optuna.create_study(direction="maximize")
    lost, own = study.ask(), study.ask()
    launched: list[int] = []

    def run(jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        launched.append(len(jobs))
        if len(launched) == 1:
            study.tell(lost.number, state=TrialState.FAIL)  # as another process does
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=1.0) for _ in jobs]

    sweep: Any = SimpleNamespace(options=SimpleNamespace(repeats=2), launcher=SimpleNamespace(launch=run))
    jobs = {trial.number: [["seed=0"], ["seed=1"]] for trial in (lost, own)}
    first, second = launch(sweep, [lost, own], jobs)
    assert launched == [2, 1]
    assert first.status == JobStatus.FAILED
    assert isinstance(first._return_value, TakenOverError)
    assert (second.status, second._return_value) == (JobStatus.COMPLETED, [1.0])


def test_a_trial_of_several_seeds_is_the_mean_of_each_objective() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    trial = study.ask()
    left = [[1.0, 8.0], [6.0, 9.0], [2.0, 4.0]]

    def run(jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=left.pop(0)) for _ in jobs]

    sweep: Any = SimpleNamespace(options=SimpleNamespace(repeats=3), launcher=SimpleNamespace(launch=run))
    (returned,) = launch(sweep, [trial], {trial.number: [[f"seed={seed}"] for seed in range(3)]})
    assert returned._return_value == [3.0, 7.0]
    assert left == []
