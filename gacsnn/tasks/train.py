"""task=train: a config, or a run that goes on -> run directory."""

import math
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from gacsnn.config.saved import from_saved
from gacsnn.config.schema import Config, Train
from gacsnn.data.digest import changes
from gacsnn.errors import DivergenceError, InputError, machine_error
from gacsnn.report.run_page import write_page
from gacsnn.report.summary import conclude
from gacsnn.runtime.console import log
from gacsnn.runtime.group import this_group
from gacsnn.runtime.run_dir import OnEpochEnd, Result, RunDirectory, missing_epochs
from gacsnn.tasks.experiment import Experiment, announce, prepare, put_weights, run_name
from gacsnn.tasks.outcome import account, measured, write_energy
from gacsnn.tasks.rerun import compare, say_other_images
from gacsnn.training import checkpoint
from gacsnn.training.loop import report_saved_epochs, train
from gacsnn.training.memory import fitting_parts, gpu_memory_errors
from gacsnn.training.metrics import Score, evaluate
from gacsnn.training.run_identity import kept_apart, strange_to_its_directory
from gacsnn.training.saving import find_best, go_back
from gacsnn.training.trainer import Trainer, TrainState, capture, release
from gacsnn.weights import load_weights


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None) -> Result:
    """`config` is checked (`tasks/checks.py`); where a run goes on, it is that run's, with what may change of it."""
    with gpu_memory_errors(config):
        do = begin if config.resume is None else resume
        result, run_dir = do(config, overridden, on_epoch_end)
        compare(config, run_dir)
    return result


def begin(
    config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None
) -> tuple[Result, RunDirectory]:
    """A new run, from the weights of `checkpoint` where it is given."""
    given = config.checkpoint
    weights = None if given is None else this_group().share(lambda: checkpoint.read_any(Path(given)))
    experiment = prepare(config)
    if weights is not None:
        put_weights(experiment, weights, f"checkpoint={given}")
        if other := strange_to_its_directory(Path(str(given)), weights):
            log.warning(other)
    say_other_images(experiment)
    run_dir = experiment.new_directory(run_name(config))
    with machine_errors(config, run_dir), experiment.locked(run_dir):
        run_dir.truncate_after(0)  # of a run that was stopped in its first epoch
        return fit(experiment, run_dir, None, overridden, on_epoch_end), run_dir


def resume(
    config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None
) -> tuple[Result, RunDirectory]:
    """Go on with the run of `config.resume`."""
    assert config.resume is not None
    run_dir = RunDirectory(Path(config.resume), writes=this_group().first)
    with machine_errors(config, run_dir), run_dir.lock("resume"):
        return go_on(config, run_dir, overridden, on_epoch_end), run_dir


def go_on(
    config: Config, run_dir: RunDirectory, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None
) -> Result:
    """Go on where the last checkpoint stands, or the newest one that can be read."""
    saved = this_group().share(lambda: checkpoint.newest(run_dir.saved(), f"resume={run_dir.path}"))
    _, content = saved
    experiment = prepare(config)
    if content["classes"] != experiment.splits.classes:
        raise InputError(f"resume={run_dir.path}: the data set's classes are no longer those of that run")
    check_images(content, experiment, f"resume={run_dir.path}")
    saved_config = from_saved(content["config"], f"resume={run_dir.path}")
    if differ := kept_apart(saved_config, config):
        raise InputError(
            f"resume={run_dir.path}: {run_dir.config_path.name} is not that of its checkpoint, which has other options: {differ}"
        )
    before, now = saved_config.hardware.processes, this_group().size
    if before != now:
        log.warning(
            f"hardware.processes: {before} when this run was saved, {now} now; the images of each step are the same, but the "
            "rounding of sums differs, and later epochs drift apart"
        )
    return fit(experiment, run_dir, saved, overridden, on_epoch_end)


def check_images(content: Mapping[str, Any], experiment: Experiment, source: str) -> None:
    """Raise InputError if the images are not those that a run began with. An older checkpoint knows only their number."""
    there, here = training_images(content), len(experiment.splits.train)
    if "data" in content:
        differ = changes(content["data"], experiment.data)
    else:
        differ = "" if there in (None, here) else f"there were {there} training images, and now there are {here}"
    if differ:
        raise InputError(
            f"{source}: {differ}: other images would be held out, some of which were trained on; restore the data set, or "
            "begin a new run"
        )
    if "data" not in content:
        log.warning(
            f"{source}: an earlier version began this run and saved no list of its images; only their number is compared"
        )


def training_images(content: Mapping[str, Any]) -> int | None:
    """Of the run that a checkpoint is of; older ones tell it when an epoch was finished."""
    state = content["train_state"]
    if "images" in content or not state["epoch"]:
        return content.get("images")
    return (state["images"] - state.get("epoch_images", 0)) // state["epoch"]


def fit(
    experiment: Experiment,
    run_dir: RunDirectory,
    saved: tuple[Path, dict[str, Any]] | None,
    overridden: Collection[str] | None,
    on_epoch_end: OnEpochEnd | None,
) -> Result:
    """Train from the beginning, or from a checkpoint, given with its content; then test."""
    config, splits, group = experiment.config, experiment.splits, experiment.machine.group
    assert isinstance(config.task, Train)
    parts = config.hardware.accumulate
    if parts == "auto":
        size = experiment.image_size()
        parts = fitting_parts(experiment.model, config, experiment.normalise, experiment.machine, size)
    experiment.model.accumulate(parts)
    trainer = Trainer(experiment.model, config, experiment.machine, experiment.normalise, len(splits.train))
    trainer.belongs = {"run_id": group.share(lambda: secrets.token_hex(8)), "data": experiment.data}
    if saved is not None:
        path, content = saved
        trainer.belongs["run_id"] = content.get("run_id")
        trainer.restore(content, f"resume={run_dir.path}")
        if missing := missing_epochs(run_dir.read_metrics(), trainer.state.epoch):
            log.warning(f"{run_dir.metrics_path}: lacks {missing}, which {path.name} has; curves lack them too")
        best, known = group.share(lambda: (find_best(run_dir, trainer.state, content), run_dir.read_result()))
        over = trainer.state.epoch >= config.epochs or trainer.over()
        if known is not None and known.get("steps", trainer.state.step) != trainer.state.step:
            known = None  # that of a later checkpoint, which can no longer be read
        if not over or known is None:
            go_back(run_dir, path, best, trainer.state)
        group.share(lambda: report_saved_epochs(run_dir, trainer.state.epoch, on_epoch_end))
        if over and known is not None and (known["top1"] is not None or not config.task.test):
            log.info(f"this run is complete; resume={run_dir.path} epochs=N with a larger N goes further")
            conclude(known, run_dir.path)
            return known
        if over:
            run_dir.write_config(config)
            return finish(trainer, experiment, run_dir, overridden)  # all that is missing is the result, or its test
    capture(trainer, experiment.image_size(), parts)
    run_dir.write_config(config)
    announce(experiment, run_dir.path, trainer.graphs is not None)
    if saved is not None:
        log.info(f"going on after {where(trainer.state)}")
        say_rate(trainer, saved[1])
    if (warming := config.scheduler.warmup_epochs) >= config.epochs:
        log.warning(
            f"scheduler.warmup_epochs={warming:g}: all of the run (epochs={config.epochs}); optimizer.lr is never reached"
        )
    selecting = splits.for_evaluation(config.task.selected_by)
    selection = nullcontext() if selecting is None else experiment.loader(selecting)
    try:
        with experiment.loader(splits.train, shuffle=True) as loader, selection as selector:
            train(trainer, loader, selector, run_dir, splits.classes, on_epoch_end)
    except (KeyboardInterrupt, SystemExit):
        log.info(f"interrupted; {what_is_kept(run_dir)}")
        raise
    except DivergenceError as error:
        raise DivergenceError(f"{error}; {what_is_kept(run_dir)}; a smaller optimizer.lr may help") from None
    finally:
        release(trainer)
    return finish(trainer, experiment, run_dir, overridden)


@contextmanager
def machine_errors(config: Config, run_dir: RunDirectory) -> Iterator[None]:
    """A full disk, a folder that is gone, a GPU's memory at its end, ...: one line that says what is kept."""
    try:
        with gpu_memory_errors(config, lambda: what_is_kept(run_dir)):
            yield
    except OSError as error:
        raise machine_error(error, run_dir.path, what_is_kept(run_dir)) from None


def what_is_kept(run_dir: RunDirectory) -> str:
    if not run_dir.writes:
        return "the first process says what is saved"
    try:
        content = checkpoint.read(run_dir.last)
    except InputError:
        return "nothing was saved yet, or it is gone"
    state = TrainState(**content["train_state"])
    return f"{where(state)} is saved, and resume={run_dir.path} goes on after it"


def say_rate(trainer: Trainer, content: dict[str, Any]) -> None:
    """That the learning rate goes on elsewhere than it stood, where more epochs or fewer make the schedule another one."""
    before, now = (each["param_groups"][0]["lr"] for each in (content["optimizer"], trainer.optimizer.state_dict()))
    epochs, config = content["config"]["epochs"], trainer.config
    if epochs != config.epochs and not math.isclose(before, now, rel_tol=1e-9):
        log.info(
            f"the learning rate goes on at {now:.3g}; it stood at {before:.3g}, and scheduler={config.scheduler.name}, over "
            f"{epochs} epochs until now, is one over {config.epochs} epochs from here"
        )


def where(state: TrainState) -> str:
    """`epoch 3`, or `step 40 (in epoch 4)`."""
    return f"step {state.step} (in epoch {state.epoch + 1})" if state.batch else f"epoch {state.epoch}"


def finish(
    trainer: Trainer, experiment: Experiment, run_dir: RunDirectory, overridden: Collection[str] | None
) -> Result:
    """Measure the selected weights, and write the result, then its page.

    The test split is read once, here; twice, where it picked the epoch itself (`task.selected_by=test`); not at all,
    where the run is a trial of a sweep that compares by the validation split (`task.test=false`).
    """
    state, task = trainer.state, experiment.config.task
    assert isinstance(task, Train)
    by_test = task.selected_by == "test"
    split = "test" if task.test else "validation"
    last = {"last_epoch_top1": measure(experiment, run_dir.last, split, state.keyed).top1} if by_test else {}
    selected = experiment.machine.group.share(lambda: run_dir.best if run_dir.best.exists() else run_dir.last)
    score = measure(experiment, selected, split, trainer.state.keyed)
    validation_top1 = None if by_test else state.best_top1
    if state.epoch == 0:
        selected_by = f"last step ({state.step}), as no epoch was finished"
        if split == "validation":
            validation_top1 = score.top1
        elif not by_test and experiment.splits.validation is not None:
            validation_top1 = measure(experiment, run_dir.last, "validation", state.keyed).top1
    elif state.best_top1 is None:
        selected_by = f"last epoch ({state.epoch}), for want of a validation split"
    else:
        epoch = f"epoch {state.best_epoch} of {state.epoch}"
        released = ", as the released programs do" if by_test else ""
        selected_by = (
            f"best top-1 on the {task.selected_by.upper() if by_test else 'validation'} split ({epoch}){released}"
        )
    rows = account(score, experiment)
    result = {
        **measured(score, split, experiment, rows, state.epoch),
        **({} if task.test else {"top1": None, "top5": None, "loss": None}),
        **last,
        "run_id": trainer.belongs["run_id"],
        "epochs": state.epoch,
        "steps": state.step,
        "train_seconds": state.seconds,
        "images_per_second": state.images / (state.step_seconds + state.epoch_seconds),
        "validation_top1": validation_top1,
        "selected_by": selected_by,
    }
    write_energy(rows, run_dir)
    run_dir.write_result(result)
    write_page(run_dir, overridden)
    conclude(result, run_dir.path)
    return result


def measure(experiment: Experiment, weights: Path, split: str, by_key: bool) -> Score:
    content = experiment.machine.group.share(lambda: checkpoint.read(weights)["model"])
    load_weights(experiment.model, content, f"checkpoint={weights}")
    images = experiment.splits.for_evaluation(split)
    assert images is not None
    description = "testing" if split == "test" else "measuring"
    with experiment.loader(images) as loader:
        return evaluate(experiment.model, loader, experiment.normalise, experiment.machine, description, by_key, True)
