"""Hydra's side of a study: `hydra/sweeper=study`, the Optuna sweeper made to share, resume, prune and try again.

It is hydra-optuna-sweeper with another loop: its options, search spaces and samplers are those of that plugin. Trials are
asked for one at a time by as many processes as there are (`gacsnn/study.py` has the rules), and each runs through
Hydra's launcher as a complete run in `<hydra.sweep.dir>/<number of the trial>`.

This module and launch.py are the only ones that know Hydra.
"""

import contextlib
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from hydra_plugins.hydra_optuna_sweeper.config import Direction, OptunaSweeperConf
from omegaconf import MISSING, DictConfig, OmegaConf

from gacsnn.errors import InputError, Pruned, SweepError, nearest
from gacsnn.files import uninterrupted, write_text

if TYPE_CHECKING:
    import optuna

    from gacsnn.config import Config

TRIAL = "GACSNN_TRIAL"  # environment of a job: the number of its trial
WORKER = "GACSNN_WORKER"  # environment of a worker process: its index, and how many there are

# What a search may look for: numbers of `result.json` that need no test split.
OBJECTIVES = (
    *("validation_top1", "energy_mj", "energy_full_mj", "firing_rate", "sops", "macs", "params"),
    *("train_seconds", "images_per_second"),
)


@dataclass
class Pruner:
    _target_: str = MISSING


@dataclass
class NopPruner(Pruner):
    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class MedianPruner(Pruner):
    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class SuccessiveHalvingPruner(Pruner):
    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: Any = 1
    reduction_factor: int = 4
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0


@dataclass
class HyperbandPruner(Pruner):
    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int = 1
    max_resource: Any = "auto"
    reduction_factor: int = 3
    bootstrap_count: int = 0


PRUNERS = {
    "none": NopPruner,
    "median": MedianPruner,
    "halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
}


@dataclass
class StudyConf(OptunaSweeperConf):
    """The options of hydra-optuna-sweeper, and ours."""

    _target_: str = "gacsnn.sweep.StudySweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    pruner: Pruner = MISSING
    direction: Any = Direction.maximize
    objectives: list[str] = field(default_factory=lambda: ["validation_top1"])  # keys of result.json, one a direction
    n_jobs: int = 1
    max_failure_rate: float = 0.5  # of n_trials; the sweep stops beyond
    max_retries: int = 10  # how often a trial whose process was killed is taken up again
    lease_seconds: float = 60.0  # how long another machine may be silent before its trial is taken up
    test: str = "best"  # whose test split is read: best, all or none
    reuse: bool = True  # take the result of the same config from this study instead of running it again


def register() -> None:
    """Make `hydra/sweeper=study` and `hydra/sweeper/pruner=...` known to Hydra."""
    Plugins.instance().register(StudySweeper)
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="study", node=StudyConf, provider="gacsnn", replace=True)
    for name, node in PRUNERS.items():
        store.store(group="hydra/sweeper/pruner", name=name, node=node, provider="gacsnn", replace=True)


class StudySweeper(Sweeper):
    """Made by Hydra from `hydra.sweeper`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study to its end, alone, with workers of its own, or beside others that share the storage.

        Raises:
            InputError: for a mistake in the sweep, before the first trial.
            SweepError: when too many trials failed.
        """
        from gacsnn.progress import log, speak

        speak()
        sweep = Sweep(self, arguments)
        index, _count = worker()
        local = type(self.launcher).__name__ == "BasicLauncher"
        if index is None:
            done = len([t for t in sweep.standing() if t.state.is_finished()])
            log.info(f"study {sweep.name}: {sweep.n_trials} trials asked for, {done} done -> {sweep.folder}")
        if local and sweep.n_jobs > 1 and index is None:
            supervise(sweep.n_jobs)
        else:
            sweep.work(at_once=1 if local else sweep.n_jobs)
        if index is None:
            sweep.conclude()


class Sweep:
    """A sweep as this process sees it: the search space, the study, and how a trial becomes a run."""

    def __init__(self, sweeper: StudySweeper, arguments: list[str]) -> None:
        from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

        options = sweeper.options
        self.sweeper = sweeper
        self.launcher = sweeper.launcher
        self.folder = Path(str(sweeper.config.hydra.sweep.dir)).absolute()
        self.n_trials: int = options["n_trials"]
        self.n_jobs: int = options["n_jobs"]
        self.options = options
        for name in ("n_trials", "n_jobs"):
            if options[name] < 1:
                raise InputError(f"hydra.sweeper.{name}={options[name]}: should be greater than or equal to 1")
        if options["test"] not in ("best", "all", "none"):
            raise InputError(f"hydra.sweeper.test={options['test']}: choose one of best, all, none")
        params = [f"{key}={value}" for key, value in (options["params"] or {}).items()]
        try:
            self.space, fixed, deletions = create_params_from_overrides([*params, *arguments])
        except (ValueError, AssertionError, NotImplementedError) as error:
            raise InputError(f"hydra.sweeper.params: {error}") from None
        for name in fixed:
            self.space.pop(name, None)
        self.fixed = [*(f"{name}={value}" for name, value in fixed.items()), *deletions]
        if not self.space:
            raise InputError("hydra.sweeper.params: nothing is searched; give at least one, such as T: choice(2, 4)")
        self.probes = self.probe()
        self.directions = self.read_directions()
        self.pruner = self.make("pruner")
        self.try_sampler()
        self.open()

    def probe(self) -> "list[Config]":
        """The configs at the ends of the search space: a mistake in the sweep shows here, before the first trial."""
        base = {name: ends(distribution)[0] for name, distribution in self.space.items()}
        points = [base]
        for name, distribution in self.space.items():
            points += [{**base, name: value} for value in ends(distribution)[1:]]
        return [self.compose(self.overrides(point)) for point in points]

    def compose(self, overrides: Sequence[str]) -> "Config":
        """The checked config of a trial.

        Raises:
            InputError: when it cannot be composed, or holds a wrong value.
        """
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        from gacsnn.config import validate
        from gacsnn.mistakes import one_line

        try:
            composed = self.sweeper.loader.load_sweep_config(self.sweeper.config, list(overrides))
            values = OmegaConf.to_container(composed, resolve=False)
            assert isinstance(values, dict)
            del values["hydra"]
            values = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(one_line(str(error))) from None
        return validate(values)  # type: ignore[arg-type]

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        test = [] if self.options["test"] == "all" else ["task.test=false"]
        return [*(f"{name}={value}" for name, value in params.items()), *test, *self.fixed]

    def read_directions(self) -> list[str]:
        given = self.options["direction"]
        given = [given] if isinstance(given, str | Direction) else list(given)
        directions = [d.name if isinstance(d, Direction) else str(d) for d in given]
        for direction in directions:
            if direction not in ("maximize", "minimize"):
                raise InputError(f"hydra.sweeper.direction={direction}: choose one of maximize, minimize")
        objectives = list(self.options["objectives"])
        for name in objectives:
            if name not in OBJECTIVES:
                known = f"{nearest(name, OBJECTIVES)}; choose of {', '.join(OBJECTIVES)}"
                raise InputError(f"hydra.sweeper.objectives={name}: no such objective{known}")
        if len(objectives) != len(directions):
            raise InputError(
                f"hydra.sweeper.direction={directions} and hydra.sweeper.objectives={objectives}: give one direction an "
                "objective"
            )
        pruned = self.options["pruner"].get("_target_") != NopPruner._target_
        if len(objectives) > 1 and pruned:
            raise InputError("hydra/sweeper/pruner: trials with several objectives cannot be pruned; use pruner=none")
        return directions

    def make(self, kind: str, **options: Any) -> Any:
        """A sampler or pruner of its config."""
        node = self.options[kind]
        known = ("optuna.samplers.*", "optuna.pruners.*", "hydra_plugins.hydra_optuna_sweeper.*")
        try:
            return instantiate(OmegaConf.merge(node, options), _execution_whitelist_=known)
        except Exception as error:  # whatever a constructor says of its arguments
            reason = str(error.__cause__ or error).splitlines()[0]
            raise InputError(f"hydra.sweeper.{kind}: {node.get('_target_')} cannot be made: {reason}") from None

    def make_sampler(self, rank: int) -> "optuna.samplers.BaseSampler":
        """The sampler of the rank-th new trial: the same one, however often the study was stopped before."""
        import optuna

        target = self.options["sampler"].get("_target_", "")
        if target.endswith("GridSampler"):
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                return optuna.samplers.PartialFixedSampler(self.grid_point(rank), optuna.samplers.RandomSampler(seed=0))
        seed = self.options["sampler"].get("seed")
        if seed is None or target.endswith("QMCSampler"):  # that one counts its points in the storage
            return self.make("sampler")
        return self.make("sampler", seed=seed + rank)

    def try_sampler(self) -> None:
        """Draw a few points in memory: some samplers find out late that a package or a bound is missing."""
        import optuna

        from gacsnn.study import first_line

        rehearsal = optuna.create_study(directions=self.directions)
        for rank in range(3):
            rehearsal.sampler = self.make_sampler(rank)
            try:
                trial = rehearsal.ask(self.space)
            except (ImportError, ValueError, TypeError, RuntimeError) as error:
                raise InputError(f"hydra/sweeper/sampler: cannot search this space: {first_line(error)}") from None
            rehearsal.tell(trial, [float(rank)] * len(self.directions))

    def grid_point(self, rank: int) -> dict[str, Any]:
        point = {}
        for name, distribution in reversed(self.space.items()):
            values = all_values(name, distribution)
            rank, index = divmod(rank, len(values))
            point[name] = values[index]
        return point

    @uninterrupted()
    def open(self) -> None:
        """Open or make the study; write beside the trials where it is."""
        from gacsnn import study

        if self.options["sampler"].get("_target_", "").endswith("GridSampler"):
            points = 1
            for name, distribution in self.space.items():
                points *= len(all_values(name, distribution))
            self.n_trials = min(self.n_trials, points)
        self.name = self.options["study_name"] or self.folder.name
        self.url = self.options["storage"] or f"sqlite:///{self.folder / 'study.db'}"
        self.storage = study.open_storage(self.url)
        self.study = study.open_study(self.name, self.storage, self.directions, self.identity())
        self.study.pruner = self.pruner
        about = {"study": self.name, "storage": self.url, "objectives": list(self.options["objectives"])}
        if self.study.user_attrs.get("objectives") != about["objectives"]:
            self.study.set_user_attr("objectives", about["objectives"])
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "study.json", json.dumps(about, indent=2) + "\n")

    def identity(self) -> dict[str, Any]:
        """What makes trials comparable: the search space, and every option that is the same at all its ends."""
        from gacsnn.config import identity
        from gacsnn.inherit import flat

        configs = [flat(identity(probe)) for probe in self.probes]
        same = {key: value for key, value in configs[0].items() if all(c.get(key) == value for c in configs)}
        searched = {f"search of {name}": str(distribution) for name, distribution in self.space.items()}
        return searched | same

    def standing(self) -> "list[optuna.trial.FrozenTrial]":
        from gacsnn import study

        return study.standing(self.study)

    # Working

    def work(self, at_once: int) -> None:
        """Run trials until none is left for this process."""
        from gacsnn import study

        seconds, retries = self.options["lease_seconds"], self.options["max_retries"]
        while True:
            trials = []
            while len(trials) < at_once:
                trial = study.claim(self.study, self.n_trials, retries, seconds, self.make_sampler)
                if trial is None:
                    break
                if self.prepare(trial):
                    trials.append(trial)
            if trials:
                self.run(trials)
            self.stop_after_failures()
            if not trials:
                return

    @uninterrupted()
    def prepare(self, trial: "optuna.Trial") -> bool:
        """Choose the trial's parameters; False when it is over already, for a bad combination or a known result."""
        from gacsnn import study
        from gacsnn.config import config_hash

        for name, distribution in self.space.items():
            trial._suggest(name, distribution)
        try:
            config = self.compose(self.overrides(trial.params))
        except InputError as error:
            self.say(trial, f"failed: {error}")
            study.finish_early(self.study, trial, str(error))
            return False
        name = config_hash(config)
        trial.set_user_attr("config_hash", name)
        trial.set_user_attr("run", str(self.folder / str(trial.number)))
        for other in self.standing():
            if self.options["reuse"] and other.state.name == "COMPLETE" and other.user_attrs.get("config_hash") == name:
                trial.set_user_attr("reused", other.number)
                trial.set_user_attr("run", other.user_attrs["run"])
                self.study.tell(trial, values=list(other.values))
                self.say(trial, f"the same config as trial {other.number}, whose result is taken")
                return False
        return True

    def run(self, trials: "list[optuna.Trial]") -> None:
        """Launch trials together, and tell the study how each ended."""
        from gacsnn import study

        jobs = [self.job(trial) for trial in trials]
        with contextlib.ExitStack() as leases:
            for trial in trials:
                leases.enter_context(study.lease(self.study, trial._trial_id, self.options["lease_seconds"]))
                self.say(trial, ", ".join(f"{name}={value}" for name, value in trial.params.items()))
            try:
                returns = self.launcher.launch(jobs, initial_job_idx=trials[0].number)
            except BaseException as error:
                # Ctrl-C or SIGTERM: what is running has saved its last epoch, and is taken up when the sweep goes on.
                stopped = isinstance(error, KeyboardInterrupt | SystemExit)
                reason = study.INTERRUPTED if stopped else study.first_line(error)
                for trial in trials:
                    study.finish_early(self.study, trial, reason, "died")
                raise
        for trial, returned in zip(trials, returns, strict=True):
            self.tell(trial, returned)

    @uninterrupted()
    def job(self, trial: "optuna.Trial") -> list[str]:
        """The overrides of a trial's run, in its own directory, where an earlier trial may have left its epochs."""
        from gacsnn import study

        folder = self.folder / str(trial.number)
        for number in study.ancestors(self.study.get_trials(deepcopy=False), trial)[1:]:
            left = self.folder / str(number)
            if left.exists() and not folder.exists():
                left.rename(folder)
        known = [f"+hydra.job.env_set.{TRIAL}='{trial.number}'", f"hydra.sweep.subdir='{trial.number}'"]
        folder.mkdir(exist_ok=True)
        about = {"study": self.name, "storage": self.url, "trial": trial.number, "params": trial.params}
        write_text(folder / "trial.json", json.dumps(about, indent=2) + "\n")
        going_on = (folder / "checkpoints" / "last.pt").exists() and (folder / "config.yaml").exists()
        if going_on:
            self.reporter(trial.number).repeat(folder / "metrics.jsonl")
            known.append(f"resume='{folder}'")
        return [*self.overrides(trial.params), *known]

    def reporter(self, number: int) -> Any:
        from gacsnn import study

        return study.Reporter(self.study, number, self.options["objectives"][0])

    @uninterrupted()
    def tell(self, trial: "optuna.Trial", returned: Any) -> None:
        import math

        import optuna

        from gacsnn import study

        try:
            value = returned.return_value
        except Pruned as pruned:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            self.say(trial, str(pruned))
            return
        except Exception as error:
            study.finish_early(self.study, trial, study.first_line(error))
            del returned
            gc.collect()  # the traceback holds the tensors of the run that failed: memory that the next one needs
            self.say(trial, f"failed: {study.first_line(error)}")
            return
        values = list(value) if isinstance(value, Sequence) else [value]
        if any(not isinstance(v, int | float) or not math.isfinite(v) for v in values):
            study.finish_early(self.study, trial, f"{self.options['objectives']} came out as {values}")
            return
        self.study.tell(trial, values=values)

    def say(self, trial: "optuna.Trial", text: str) -> None:
        from gacsnn.progress import log

        log.info(f"trial {trial.number}: {text}")

    def stop_after_failures(self) -> None:
        failed = [trial for trial in self.standing() if trial.state.name == "FAIL"]
        if len(failed) > self.options["max_failure_rate"] * self.n_trials:
            raise SweepError(
                f"study {self.name}: {len(failed)} of {self.n_trials} trials failed, more than "
                f"hydra.sweeper.max_failure_rate={self.options['max_failure_rate']}; the last said: "
                f"{failed[-1].user_attrs.get('reason')}"
            )

    # The end

    def conclude(self) -> None:
        """When all trials are done: read the test split for the best ones, and show what was found."""
        from gacsnn.progress import log

        trials = self.standing()
        done = [trial for trial in trials if trial.state.is_finished()]
        if len(done) < self.n_trials:
            log.info(f"study {self.name}: {len(done)} of {self.n_trials} trials done; others are at work on the rest")
            return
        best = self.study.best_trials
        if self.options["test"] == "best":
            for trial in best:
                self.test(trial)
        objectives = self.options["objectives"]
        for trial in best:
            values = ", ".join(f"{name} {value:.4g}" for name, value in zip(objectives, trial.values, strict=True))
            params = " ".join(f"{name}={value}" for name, value in trial.params.items())
            log.info(f"best: trial {trial.number}, {values}: {params} -> {trial.user_attrs['run']}")
        log.info(f"python launch.py task=study study={self.folder} shows the study")

    def test(self, trial: "optuna.trial.FrozenTrial") -> None:
        """Read the test split with the run of this trial, if nobody has yet."""
        run = Path(trial.user_attrs["run"])
        result = run / "result.json"
        if result.exists() and json.loads(result.read_text())["top1"] is not None:
            return
        names = [*self.overrides(trial.params), "task.test=true", f"resume='{run}'", f"hydra.sweep.subdir='{run.name}'"]
        names.remove("task.test=false")
        (returned,) = self.launcher.launch([names], initial_job_idx=trial.number)
        returned.return_value  # noqa: B018  raises what the job raised


def ends(distribution: Any) -> list[Any]:
    """All choices of a few, the two ends of a range."""
    if hasattr(distribution, "choices"):
        choices = list(distribution.choices)
        return choices if len(choices) <= 12 else [choices[0], choices[-1]]
    return [distribution.low, distribution.high]


def all_values(name: str, distribution: Any) -> list[Any]:
    """Every value of a discrete distribution.

    Raises:
        InputError: for a continuous one.
    """
    if hasattr(distribution, "choices"):
        return list(distribution.choices)
    if distribution.step is None:
        raise InputError(f"hydra.sweeper.params: {name} is continuous, and a grid needs choices or steps")
    count = round((distribution.high - distribution.low) / distribution.step) + 1
    return [distribution.low + index * distribution.step for index in range(count)]


# A job's side


def trial_number() -> int | None:
    """The number of the trial that this job is, if it is one."""
    return int(os.environ[TRIAL]) if os.environ.get(TRIAL) else None


def reporter_of_job(hydra: Any, number: int) -> Any:
    """What the run of a trial calls after each epoch. Found through the job's own config, on whatever machine."""
    from gacsnn import study

    folder = Path(str(hydra.sweep.dir)).absolute()
    about = json.loads((folder / "study.json").read_text())
    key = (about["storage"], about["study"])
    if key not in _studies:
        storage = study.open_storage(about["storage"])
        pruner = instantiate(hydra.sweeper.pruner, _execution_whitelist_=("optuna.pruners.*",))
        import optuna

        _studies[key] = optuna.load_study(study_name=about["study"], storage=storage, pruner=pruner)
    return study.Reporter(_studies[key], number, hydra.sweeper.objectives[0])


_studies: dict[tuple[str, str], Any] = {}


def objective(hydra: Any, result: Mapping[str, Any]) -> Any:
    """What a job returns to its sweeper, of its result: the objectives asked for, or top-1."""
    names = list(hydra.sweeper.get("objectives") or [])
    if not names:  # one run, a plain grid, or plain hydra-optuna-sweeper
        return result.get("validation_top1") if "selected_by" in result else result.get("top1")
    return result[names[0]] if len(names) == 1 else [result[name] for name in names]


# Several workers on one machine


def worker() -> tuple[int | None, int]:
    """(index, count) of this worker process; (None, 1) for the one that the user started."""
    if WORKER not in os.environ:
        return None, 1
    index, count = os.environ[WORKER].split("/")
    return int(index), int(count)


def supervise(count: int) -> None:
    """Run `count` workers, each on its own GPU or its share of the cores, until there is nothing left to do.

    A worker that is killed is replaced; its trial is taken up from the last checkpoint. Ctrl-C and SIGTERM are passed on;
    when this process is killed the workers end, too.
    """
    workers = {index: start_worker(index, count) for index in range(count)}
    replaced = 0
    code = 0
    try:
        while workers:
            for index, process in list(workers.items()):
                status = process.poll()
                if status is None:
                    continue
                del workers[index]
                if status < 0 and replaced < 10 * count:
                    replaced += 1
                    workers[index] = start_worker(index, count)
                elif status != 0:
                    code = code or status
            time.sleep(0.05)
    finally:
        stop(list(workers.values()))
    if code:
        raise SystemExit(code)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_worker(index: int, count: int) -> subprocess.Popen[bytes]:
    cores = share(sorted(os.sched_getaffinity(0)), index, count)
    gpus = visible_gpus()
    environment = {**os.environ, WORKER: f"{index}/{count}", "OMP_NUM_THREADS": str(len(cores))}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]

    def begin() -> None:
        os.sched_setaffinity(0, cores)
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: end when the supervisor does

    # A session of its own, so that Ctrl-C reaches it once, through the supervisor.
    return subprocess.Popen(
        [sys.executable, *sys.argv], env=environment, preexec_fn=begin, start_new_session=True, stdin=subprocess.DEVNULL
    )


def share(cores: list[int], index: int, count: int) -> list[int]:
    """The cores of one worker: consecutive ones, as evenly as they go; one of them, where workers are more than cores."""
    if count >= len(cores):
        return [cores[index % len(cores)]]
    return cores[index * len(cores) // count : (index + 1) * len(cores) // count]


def visible_gpus() -> list[str]:
    """The GPUs of this machine as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    found = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index in range(len(list(found.iterdir())))] if found.is_dir() else []
