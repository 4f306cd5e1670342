"""What a run tells its trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import Pruned, TakenOverError
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.about import file_of, read_about, storage_of
from gacsnn.sweep.claims import ancestors
from gacsnn.sweep.leases import TAKEN_OVER
from gacsnn.sweep.pruners import for_epochs
from gacsnn.sweep.pruning import is_pruned
from gacsnn.sweep.rungs import PAUSED, Rungs, goes_on
from gacsnn.sweep.samplers import make
from gacsnn.sweep.storage import open_storage

# The attribute of a trial: the last epoch after which rung and pruner let it go on.
DECIDED = "decided"

# One connection a study, however many jobs of it run in this process.
_studies: dict[tuple[str, str], optuna.Study] = {}


def open_reporter(hydra: Any, number: int, epochs: int) -> "TrialReporter":
    """The reporter of a job of so many epochs, found through the `study.json` beside its run directory."""
    folder = Path(str(hydra.sweep.dir)).absolute()
    about = read_about(folder)
    url = storage_of(folder, about)
    file = file_of(url)
    key = (url if file is None else str(file.absolute()), about["study"])
    of_several = "confirms" not in about and hydra.sweeper.repeats > 1
    if key not in _studies:
        storage = open_storage(url, hydra.sweeper.storage_patience_seconds, wait=True)
        _studies[key] = optuna.load_study(study_name=about["study"], storage=storage)
    pruner = optuna.pruners.NopPruner()
    if "confirms" not in about and not of_several:  # to confirm is to run to the end, and seeds are compared as a whole
        pruner = make("pruner", for_epochs(hydra.sweeper.pruner, epochs))
    _studies[key].pruner = pruner
    paused_after = [] if "confirms" in about else list(hydra.sweeper.rungs)
    rungs = Rungs(paused_after, hydra.sweeper.reduction_factor) if paused_after else None
    runs = folder / str(number) if of_several else None
    return TrialReporter(_studies[key], number, hydra.sweeper.objectives[0], rungs, runs, epochs)


class TrialReporter:
    """Tells the study a run's score after each epoch, and stops the run when the pruner says so."""

    def __init__(
        self,
        study: optuna.Study,
        number: int,
        score: str,
        rungs: Rungs | None = None,
        runs: Path | None = None,
        last: int | None = None,
    ) -> None:
        """`runs`: where the runs of the trial lie, if there are several; their epochs are counted together, and not scored.
        `last`: the epoch after which there is nothing more to be saved by stopping.
        """
        self.study, self.number, self.rungs, self.runs = study, number, rungs, runs
        trials = study.get_trials(deepcopy=False)
        self.trial_id = trials[number]._trial_id
        self.score = score
        self.last = last
        self.decided = decided(trials, trials[number], rungs)

    @uninterrupted()
    def __call__(self, line: Mapping[str, Any]) -> None:
        """Report an epoch, given its line of metrics.jsonl, and ask rung and pruner about it.

        A run that goes on reports all of its saved epochs first: the process before it may have been killed between a
        checkpoint and its report, or before it acted on the answer.

        Raises:
            Pruned: when the trial is not worth going on with.
            TakenOverError: when the study has held it for dead.
        """
        epoch = line["epoch"] if self.runs is None else epochs_in(self.runs)
        try:
            self.study._storage.set_trial_user_attr(self.trial_id, "epochs", epoch)
        except UpdateFinishedTrialError:
            raise TakenOverError(TAKEN_OVER) from None
        if len(self.study.directions) > 1 or self.score not in line or self.runs is not None:
            return
        self.study._storage.set_trial_intermediate_value(self.trial_id, epoch, line[self.score])
        rung = None if self.rungs is None else self.rungs.index(epoch)
        again = epoch <= self.decided
        if (
            self.rungs is not None
            and rung is not None
            and not (again or goes_on(self.study, self.number, self.rungs, rung))
        ):
            self.study._storage.set_trial_user_attr(self.trial_id, PAUSED, rung)
            raise Pruned(
                f"paused after epoch {epoch}: goes on when {self.score} {line[self.score]:.2f} is among the best"
            )
        if epoch == self.last:
            return
        if is_pruned(self.study, self.trial_id) and not again:  # the pruner itself keeps what it was asked
            raise Pruned(f"stopped early after epoch {epoch}: {self.score} {line[self.score]:.2f} is not promising")
        if not again and (rung is not None or not isinstance(self.study.pruner, optuna.pruners.NopPruner)):
            self.study._storage.set_trial_user_attr(self.trial_id, DECIDED, epoch)


def decided(trials: list[FrozenTrial], trial: FrozenTrial, rungs: Rungs | None) -> int:
    """Return the last epoch after which the trials before this one, in its chain, are known to have gone on.

    They did so after the epoch that they noted, after each epoch but their last report (earlier versions noted none), and
    after the rung at which they paused and were promoted.
    """
    before = [trials[number] for number in ancestors(trials, trial)[1:]]
    noted = [one.user_attrs.get(DECIDED, 0) for one in before]
    reported = [epoch - 1 for one in before for epoch in one.intermediate_values]
    paused = [one.user_attrs[PAUSED] for one in before if one.state == TrialState.PRUNED and PAUSED in one.user_attrs]
    return max([*noted, *reported, *(rungs.epochs[rung] for rung in paused if rungs is not None)], default=0)


def epochs_in(folder: Path) -> int:
    """Epochs of all runs in a folder."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*/metrics.jsonl"))
