"""What Hydra calls: `hydra/sweeper=study`, its pruners and its TPE are registered here, and a sweep starts here."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from gacsnn.config.schema import Config
from gacsnn.errors import file_errors
from gacsnn.runtime.console import log, speak
from gacsnn.runtime.files import check_writable
from gacsnn.runtime.signals import StopRequested
from gacsnn.sweep.grid import GridConf, GridSweeper
from gacsnn.sweep.options import SAMPLERS, StudyConf, read_options
from gacsnn.sweep.pruners import PRUNERS
from gacsnn.sweep.trial import Check, as_job
from gacsnn.sweep.workers import array_worker, end_with_supervisor, supervise, sweep_worker

if TYPE_CHECKING:
    from gacsnn.sweep.compose import Compose
    from gacsnn.sweep.search import Search


def register(check: Check | None = None, conclude: Callable[[Config, Path], None] | None = None) -> None:
    """Make `hydra/sweeper=study`, its pruners, our `hydra/sweeper/sampler=tpe` and our plain grids known to Hydra.

    Args:
        check: what each job of a plain grid, and the ends of a search space, are checked with before the first.
        conclude: what is said after the last job of a plain grid, given the last one's config and the grid's folder.
    """
    GridSweeper.conclude = conclude
    GridSweeper.check = StudySweeper.check = check
    store = ConfigStore.instance()
    for name, sweeper, node in (("study", StudySweeper, StudyConf), ("basic", GridSweeper, GridConf)):
        Plugins.instance().register(sweeper)
        store.store(group="hydra/sweeper", name=name, node=node, provider="gacsnn", replace=True)
    for group, nodes in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        for name, node in nodes.items():
            store.store(group=f"hydra/sweeper/{group}", name=name, node=node, provider="gacsnn", replace=True)


class StudySweeper(Sweeper):
    """Made by Hydra from `hydra.sweeper`."""

    check: Check | None = None  # the program's, which knows its tasks

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.loader = hydra_context.config_loader
        if array_worker():  # it was launched itself
            launcher = BasicLauncher()
            launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)
            self.launcher = launcher
        else:
            self.launcher = Plugins.instance().instantiate_launcher(
                hydra_context=hydra_context, task_function=task_function, config=config
            )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study to its end, alone, with workers of its own, or beside others that share the storage.

        Raises:
            InputError: for a mistake in the sweep, before the first trial.
            SweepError: when too many trials failed.
            MachineError: when the study's folder or storage is gone, or the storage stays away.
        """
        assert self.config is not None
        # These are errors of the sweep's own files: a run says itself what is kept of it.
        with file_errors(self.config.hydra.sweep.dir, "the same command goes on later"):
            self.work(arguments)

    def work(self, arguments: list[str]) -> None:
        from gacsnn.sweep.array import array_script, check_shared, run_array  # these bring optuna, for a sweep alone
        from gacsnn.sweep.budget import is_spent
        from gacsnn.sweep.claims import line_up_failed
        from gacsnn.sweep.compose import composer
        from gacsnn.sweep.conclude import conclude, say_stopped, test_best
        from gacsnn.sweep.confirm import check_seeds, is_over, work
        from gacsnn.sweep.jobs import in_folder
        from gacsnn.sweep.loop import Sweep
        from gacsnn.sweep.others import check_others, take_from_others
        from gacsnn.sweep.plan import plan_sweep
        from gacsnn.sweep.search import read_search
        from gacsnn.sweep.status import StudyBar, count_done, warn_of_missing_runs

        assert self.config is not None
        assert self.launcher is not None
        speak()
        index = sweep_worker()
        if index is not None:
            end_with_supervisor()
        options = read_options(self.options)
        search = read_search(options, arguments)
        check_seeds(options, search)
        folder = Path(str(self.config.hydra.sweep.dir)).absolute()
        check_writable("hydra.sweep.dir", folder)
        compose = composer(self.loader, self.config)
        self.examine(search, compose, folder)
        if self.config.plan:
            plan_sweep(options, search, folder, compose, self.launcher)
            return
        check_others(options.trials_from, folder)
        launcher = type(self.launcher).__name__
        if array_worker():
            check_shared(folder, options.storage)
        script = (
            array_script(self.config.hydra.launcher, options.n_jobs, folder) if launcher == "SlurmLauncher" else None
        )
        sweep = Sweep(options, search, folder, compose, self.launcher)
        if array_worker():
            work(sweep, at_once=1)
            if is_over(sweep) and not is_spent(sweep):
                test_best(sweep)  # here, because where the command was typed there may be nothing to compute with
            return
        if index is None:
            take_from_others(sweep)
        if index is None and options.retry == "failed" and (count := line_up_failed(sweep.study)):
            log.info(f"study {sweep.name}: trials that failed and are lined up again: {count}")
        if index is None:
            log.info(
                f"study {sweep.name}: {sweep.n_trials} trials asked for, {count_done(sweep.study)} done -> {folder}"
            )
            warn_of_missing_runs(sweep.study, folder)
        try:
            if script is not None or (sweep.local and options.n_jobs > 1 and index is None):
                with StudyBar(sweep.study, sweep.n_trials, options.objectives) as bar:
                    if script is not None:
                        run_array(sweep, script, bar.watch)
                    else:
                        supervise(options.n_jobs, self.config.hardware.processes, bar.watch, in_folder(folder))
            else:
                work(sweep, at_once=1 if sweep.local else options.n_jobs)
            if index is None:
                conclude(sweep)
        except (KeyboardInterrupt, StopRequested):
            if index is None:
                say_stopped(sweep)
            raise

    def examine(self, search: "Search", compose: "Compose", folder: Path) -> None:
        """Check the ends of the search space as runs on this machine, where trials run here.

        Raises:
            InputError: for whatever such a run would find wrong before its first step.
        """
        from gacsnn.sweep.search import probes

        check = type(self).check
        if check is None or type(self.launcher).__name__ != "BasicLauncher":
            return
        named = [*search.space, *(each.partition("=")[0] for each in search.fixed)]
        for config in probes(search, compose):
            check(as_job(config, folder), named)
