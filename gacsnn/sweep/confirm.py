"""After a search: its best trials again, with fresh seeds. The best of many is partly luck, which does not come twice.

It is a sweep of its own, a grid over candidates and seeds, in a folder within that of the search; so it is shared, resumed and
tried again as any other.
"""

import time
from dataclasses import replace

from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from gacsnn.errors import InputError
from gacsnn.runtime.console import log
from gacsnn.runtime.signals import stop_if_requested, uninterrupted
from gacsnn.sweep.budget import is_spent
from gacsnn.sweep.claims import effective_trials, reap_dead
from gacsnn.sweep.confirmed import CANDIDATE, folder_of
from gacsnn.sweep.loop import Sweep
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.points import all_values
from gacsnn.sweep.pruners import NopPruner
from gacsnn.sweep.search import Search
from gacsnn.sweep.status import finished
from gacsnn.sweep.storage import OtherStudyError
from gacsnn.sweep.workers import sweep_worker


def work(sweep: Sweep, at_once: int) -> None:
    """Run the trials of a sweep, and of its confirmation, if it is to have one, until none is left for this process."""
    sweep.work(at_once)
    if sweep.options.confirm is None:
        return
    while not (is_spent(sweep) or is_finished(sweep)):  # others are at work on the last ones
        stop_if_requested()
        time.sleep(0.5)
        sweep.work(at_once)
    if (confirming := confirmation(sweep)) is not None:
        if not finished(confirming.study) and sweep_worker() in (None, 0):
            seeds = ", ".join(map(str, all_values("seed", confirming.search.space["seed"])))
            again = ", ".join(map(str, confirming.search.points))
            log.info(f"study {sweep.name}: trials {again} again, with seeds {seeds} -> {confirming.folder}")
        confirming.work(at_once)


@uninterrupted()
def is_finished(sweep: Sweep) -> bool:
    """Whether all trials have ended, and none goes on: one that has just died, or paused at a rung, is lined up first.

    Who ended it does so in a moment, and until then it counts as done: what is the best would be found too early.
    """
    if finished(sweep.study) < sweep.n_trials:
        return False
    reap_dead(sweep.study, sweep.n_trials, sweep.options.max_retries)
    sweep.promote()
    return finished(sweep.study) >= sweep.n_trials


@uninterrupted()
def is_over(sweep: Sweep) -> bool:
    """Whether no trial is left, of the search and of what confirms it, or no budget for one."""
    if is_spent(sweep):
        return True
    confirming = confirmation(sweep)
    return is_finished(sweep) and (confirming is None or is_finished(confirming))


@uninterrupted()
def confirmation(sweep: Sweep) -> Sweep | None:
    """The sweep that confirms a search; None while there is nothing to be confirmed.

    Raises:
        InputError: where it was begun with other trials, or other seeds.
    """
    if sweep.options.confirm is None or not is_finished(sweep):
        return None
    candidates = best_configurations(sweep, sweep.options.confirm.top)
    if not candidates:
        return None
    points = {trial.number: trial.params for trial in candidates}
    first = sweep.compose(sweep.search.overrides(candidates[0].params)).seed + sweep.options.repeats
    seeds = [first + index for index in range(sweep.options.confirm.seeds)]
    space = {CANDIDATE: CategoricalDistribution([*points]), "seed": CategoricalDistribution(seeds)}
    options = replace(
        sweep.options,
        study_name=f"{sweep.name}-confirm-{sweep.n_trials}",
        n_trials=len(points) * len(seeds),
        sampler=OmegaConf.create({"_target_": "optuna.samplers.GridSampler"}),
        pruner=OmegaConf.create({"_target_": NopPruner._target_}),
        repeats=1,
        rungs=None,
        trials_from=[],
        claim=None,
        confirm=None,
        budget_hours=None,
        budget_gpu_hours=None,
        confirms=sweep.name,
    )
    search = Search(space, sweep.search.fixed, points)
    folder = folder_of(sweep.folder, sweep.n_trials)
    try:
        return Sweep(options, search, folder, sweep.compose, sweep.launcher)
    except OtherStudyError:
        raise InputError(
            f"hydra.sweeper.confirm: {folder} was begun with other trials or seeds than trials {', '.join(map(str, points))} "
            f"and seeds {', '.join(map(str, seeds))}; give the top and seeds it was begun with, or a larger "
            "hydra.sweeper.n_trials, whose best are confirmed anew"
        ) from None


def check_seeds(options: SweepOptions, search: Search) -> None:
    """Raises InputError where the seed is searched, and the sweep is to bring seeds of its own."""
    for name in ("confirm", "repeats"):
        if "seed" in search.space and getattr(options, name) not in (None, 1):
            raise InputError(f"hydra.sweeper.{name}: this sweep searches the seed, and {name} brings its own")


def best_configurations(sweep: Sweep, count: int) -> list[FrozenTrial]:
    """The best complete trials, the best first; of the same configuration one, of equals the earlier."""
    found: dict[str, FrozenTrial] = {}
    for trial in effective_trials(sweep.study):
        if trial.state == TrialState.COMPLETE and "reused" not in trial.user_attrs:
            found.setdefault(trial.user_attrs["config_hash"], trial)
    sign = -1 if sweep.options.directions[0] == "maximize" else 1
    return sorted(found.values(), key=lambda trial: (sign * trial.values[0], trial.number))[:count]
