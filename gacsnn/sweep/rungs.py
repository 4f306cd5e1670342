"""`hydra.sweeper.rungs`: asynchronous successive halving (Li et al., 2020) in which a trial that goes on keeps its weights.

All trials are trained for the first rung's epochs, and pause; of those that reached a rung, the best one in `reduction_factor`
goes on to the next, from its checkpoint, as a trial that takes up the paused one (`claims.py`). Nobody waits for a rung to be
full. The schedule of all is that of the last rung's epochs, so that their rates, and with them their scores, agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.claims import TAKEN_FROM, chains, is_beyond, is_new

# The attribute of a trial that paused: at which rung, counted from 0.
PAUSED = "paused"


@dataclass(frozen=True)
class Rungs:
    """Epochs after which trials pause, the last one those of a whole run; of each rung one trial in `factor` goes on."""

    epochs: Sequence[int]
    factor: int

    def index(self, epoch: int) -> int | None:
        """Which rung an epoch is; None for none, and for the last epoch."""
        return self.epochs.index(epoch) if epoch in self.epochs[:-1] else None


@dataclass(frozen=True)
class Climber:
    """A configuration: its trials, the first one first, each of which took up the one before."""

    trials: Sequence[FrozenTrial]

    @property
    def last(self) -> FrozenTrial:
        return self.trials[-1]

    def score(self, epoch: int) -> float | None:
        known = [trial.intermediate_values[epoch] for trial in self.trials if epoch in trial.intermediate_values]
        return known[-1] if known else None

    def stands_at(self, rung: int) -> bool:
        """Whether it paused there, and has not been taken up again."""
        return self.last.state == TrialState.PRUNED and self.last.user_attrs.get(PAUSED) == rung


def climbers(trials: Sequence[FrozenTrial]) -> list[Climber]:
    return [Climber(chain) for chain in chains(trials) if TAKEN_FROM not in chain[0].user_attrs]


def best_at(study: optuna.Study, rungs: Rungs, rung: int, found: Sequence[Climber]) -> list[Climber]:
    """Those that have reached a rung, the best first; of equals the earlier."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    scored = [(sign * score, one) for one in found if (score := one.score(rungs.epochs[rung])) is not None]
    return [one for _, one in sorted(scored, key=lambda pair: (pair[0], pair[1].trials[0].number))]


@uninterrupted()
def goes_on(study: optuna.Study, number: int, rungs: Rungs, rung: int) -> bool:
    """Whether the trial that has just reached a rung is among the best there by now, and need not pause."""
    best = best_at(study, rungs, rung, climbers(study.get_trials(deepcopy=False)))
    return any(one.last.number == number for one in best[: len(best) // rungs.factor])


def promote(study: optuna.Study, rungs: Rungs, n_trials: int) -> None:
    """Line up the next trial that is to go on, if there is one: of the highest rung first.

    When nothing else is left to do and no trial was run to the end, the best of the highest rung goes on: of few trials a
    rung may have too few for one to be promoted.
    """
    trials = study.get_trials(deepcopy=False)
    found = [one for one in climbers(trials) if not is_beyond(trials, one.last, n_trials)]
    for rung in reversed(range(len(rungs.epochs) - 1)):
        best = best_at(study, rungs, rung, found)
        for one in best[: len(best) // rungs.factor]:
            if one.stands_at(rung):
                line_up(study, one)
                return
    unfinished = any(not trial.state.is_finished() for trial in trials) or sum(map(is_new, trials)) < n_trials
    if unfinished or any(trial.state == TrialState.COMPLETE for trial in trials):
        return
    for rung in reversed(range(len(rungs.epochs) - 1)):
        standing = [one for one in best_at(study, rungs, rung, found) if one.stands_at(rung)]
        if standing:
            line_up(study, standing[0])
            return


def line_up(study: optuna.Study, one: Climber) -> None:
    """Have the next process that asks take up a paused trial. Two that do so at once make one of them, as of retries."""
    study.enqueue_trial(one.last.params, user_attrs={"retry_of": one.last.number})
