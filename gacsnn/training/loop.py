"""The training loop."""

import math
import signal
import time
from contextlib import nullcontext
from typing import Any

import torch

from gacsnn.config.schema import Config, Train
from gacsnn.data.loader import Loader, begin_epoch, image_count
from gacsnn.errors import DivergenceError
from gacsnn.runtime.console import Progress, duration, log, rate
from gacsnn.runtime.run_dir import OnEpochEnd, RunDirectory
from gacsnn.runtime.signals import StopRequested, requested, stop_between_steps, stop_if_requested
from gacsnn.training import checkpoint
from gacsnn.training.board import summary_writer
from gacsnn.training.forecast import Forecast
from gacsnn.training.metrics import evaluate
from gacsnn.training.parallel import settle
from gacsnn.training.saving import Saver
from gacsnn.training.trainer import Step, Trainer, TrainState

# Steps between looks at the loss: to read it is to wait for the GPU.
CHECK_EVERY = 10


def train(
    trainer: Trainer,
    loader: Loader,
    validation: Loader | None,
    run_dir: RunDirectory,
    classes: list[str],
    on_epoch_end: OnEpochEnd | None = None,
) -> None:
    """Train to the last epoch, or until `max_steps`, `max_minutes` or a signal. After each epoch: validate, record, save.

    What ends an epoch early is saved with it: a run that goes on finishes that epoch as if nothing had happened. When
    `max_minutes` are over it stops as SIGUSR1, a cluster's warning, would have it: to be run again.
    `validation` is the split that picks the best epoch (`task.selected_by`); None: the last epoch is the best.
    `on_epoch_end` is called after all that, and may end the training by what it raises. However it ends, what was to be
    saved is on the disk then.

    Raises:
        DivergenceError: when the loss or a weight is no longer finite; the checkpoints are from before.
        StopRequested: on a signal that asks to stop, and after `max_minutes`, when what was done is saved.
        OSError: when something cannot be written, perhaps some steps later.
    """
    config, state = trainer.config, trainer.state
    clock = Clock(state, config.save_every_minutes, config.max_minutes)
    forecast = Forecast(trainer, 0 if validation is None else image_count(validation))
    with (
        summary_writer(run_dir.tensorboard, state.epoch + 1) if run_dir.writes else nullcontext() as board,
        stop_between_steps(),
        Saver(run_dir, config.keep_checkpoints) as saver,
    ):
        while state.epoch < config.epochs and not trainer.over():
            train_epoch(trainer, loader, clock, forecast, saver, classes)
            if state.batch < len(loader):
                break
            line, better = end_epoch(trainer, validation, clock, saver, classes)
            record(line, run_dir, board, config)
            saver.save(trainer.content(classes), better)
            clock.saved()
            trainer.group.share(lambda line=line: report(line, on_epoch_end))
    if trainer.limit_reached():
        epoch = state.epoch + (state.batch > 0)
        log.info(
            f"training stopped after {state.step} steps, in epoch {epoch} of {config.epochs}: max_steps={config.max_steps}"
        )


def report(line: dict[str, Any], on_epoch_end: OnEpochEnd | None) -> None:
    if on_epoch_end is not None:
        on_epoch_end(line)


def report_saved_epochs(run_dir: RunDirectory, last: int, on_epoch_end: OnEpochEnd | None) -> None:
    """Report the epochs of a run that goes on, up to the last one that its checkpoint holds."""
    if on_epoch_end is not None:
        for line in run_dir.read_metrics():
            if line["epoch"] <= last:
                on_epoch_end(line)


class Clock:
    """Minutes of this process, seconds of the run, and when the next checkpoint within an epoch is due."""

    def __init__(self, state: TrainState, save_every_minutes: float | None, max_minutes: float | None) -> None:
        self.state = state
        self.before = state.seconds
        self.started = self.last_saved = time.perf_counter()
        self.save_every_minutes = save_every_minutes
        self.max_minutes = max_minutes

    def is_over(self) -> bool:
        return self.max_minutes is not None and time.perf_counter() - self.started >= 60 * self.max_minutes

    def tick(self) -> None:
        self.state.seconds = self.before + time.perf_counter() - self.started

    def saved(self) -> None:
        self.last_saved = time.perf_counter()

    def save_is_due(self) -> bool:
        return (
            self.save_every_minutes is not None
            and time.perf_counter() - self.last_saved >= 60 * self.save_every_minutes
        )


def train_epoch(
    trainer: Trainer, loader: Loader, clock: Clock, forecast: Forecast, saver: Saver, classes: list[str]
) -> None:
    """What is left of the epoch at work, or less where `max_steps` ends it."""
    state, config, group = trainer.state, trainer.config, trainer.group
    trainer.model.train()
    trainer.begin_epoch()
    begin_epoch(loader, state.epoch, state.batch)
    pending: list[Step] = []
    begun, seconds_before = time.perf_counter(), state.epoch_seconds

    def look() -> None:
        """Read the latest losses: to do so is to wait for the GPU. And hear whether what was saved could be written."""
        saver.check()
        read_steps(pending, trainer)
        pending.clear()
        state.epoch_seconds = seconds_before + time.perf_counter() - begun

    def save() -> None:
        look()
        check_weights(trainer)
        clock.tick()
        saver.save(trainer.content(classes))
        clock.saved()

    with Progress(f"epoch {state.epoch + 1}/{config.epochs}", image_count(loader), state.epoch_images) as progress:
        for images, labels, keys in loader:
            pending.append(trainer.step(images, labels, keys))
            seen = state.epoch_images
            if forecast.waits() or len(pending) == CHECK_EVERY or state.batch == len(loader):
                look()
                forecast.look()
                progress.advance(
                    seen - progress.done, loss=state.epoch_loss / seen, top1=100 * state.epoch_correct / seen
                )
            # Signals and clocks differ between processes: what one has to stop for, all do, after the same step.
            asked, over, due = group.highest([requested(), clock.is_over(), clock.save_is_due()])
            limit = trainer.limit_reached() and state.batch < len(loader)
            if asked or over or limit or due:
                save()
            if over and not asked:
                log.info(f"max_minutes={clock.max_minutes:g} are over")
            stop_if_requested(asked or (signal.SIGUSR1 if over else 0))
            if limit:
                return


def end_epoch(
    trainer: Trainer,
    validation: Loader | None,
    clock: Clock,
    saver: Saver,
    classes: list[str],
) -> tuple[dict[str, Any], bool]:
    """The epoch's line of metrics.jsonl, and whether its weights are the best so far."""
    config, state = trainer.config, trainer.state
    assert isinstance(config.task, Train)
    split, better = config.task.selected_by, True
    line = {
        "epoch": state.epoch + 1,
        "step": state.step,
        "lr": state.epoch_lr,
        "train_loss": state.epoch_loss / state.epoch_images,
        "train_top1": 100 * state.epoch_correct / state.epoch_images,
        "images_per_second": state.epoch_images / state.epoch_seconds,
    }
    check_weights(trainer)
    settle(trainer.model, config, trainer.group)
    if validation is not None:
        before = checkpoint.random_state()
        try:
            score = evaluate(
                trainer.model, validation, trainer.normalise, trainer.machine, "validating", by_key=state.keyed
            )
        except StopRequested:
            checkpoint.restore_random_state(before)
            clock.tick()
            saver.save(trainer.content(classes))
            raise
        line |= {f"{split}_loss": score.loss, f"{split}_top1": score.top1, "firing_rate": score.firing_rate}
        better = is_better(score.top1, score.loss, state)
        if better:
            state.best_epoch, state.best_top1, state.best_loss = state.epoch + 1, score.top1, score.loss
    state.step_seconds += state.epoch_seconds
    trainer.end_epoch()
    clock.tick()
    return {**line, "seconds": state.seconds}, better


def read_steps(steps: list[Step], trainer: Trainer) -> None:
    """Add the latest steps to the epoch's sums, one after another, so that it does not matter when they are read.

    Raises:
        DivergenceError: when the loss of one is not finite, saying at which step.
    """
    if not steps:
        return
    state = trainer.state
    shares = torch.stack([torch.stack([step.loss.double(), step.correct.double()]) for step in steps])
    for index, (loss, correct) in enumerate(trainer.group.total(shares).tolist()):
        if not math.isfinite(loss):
            number = state.step - len(steps) + index + 1
            raise DivergenceError(f"the loss became {loss} at step {number} (epoch {state.epoch + 1})")
        state.epoch_loss += loss * steps[index].images
        state.epoch_correct += int(correct)


def check_weights(trainer: Trainer) -> None:
    """Raise DivergenceError if a weight or a running statistic is not finite: the next loss would show it too late.

    All processes raise it, also if one alone has batch statistics that are not finite.
    """
    tensors = trainer.model.state_dict().items()
    wrong = next((name for name, tensor in tensors if not tensor.isfinite().all()), None)
    if any(trainer.group.highest([wrong is not None])):
        named = "of another process" if wrong is None else wrong
        raise DivergenceError(f"the weights {named} are no longer finite at step {trainer.state.step}")


def is_better(top1: float, loss: float, state: TrainState) -> bool:
    """Higher top-1 on the split that selects, or the same with a smaller loss."""
    if state.best_top1 is None or state.best_loss is None:
        return True
    return (top1, -loss) > (state.best_top1, -state.best_loss)


def record(line: dict[str, Any], run_dir: RunDirectory, board: Any, config: Config) -> None:
    """An epoch's metrics: to metrics.jsonl, TensorBoard and the log."""
    if board is None:
        return
    synthetic = config.dataset.name == "synthetic"
    run_dir.append_metrics({**line, "synthetic": True} if synthetic else line)
    for name, value in line.items():
        if name not in ("epoch", "step"):
            board.add_scalar(name, value, line["epoch"])
    board.flush()
    split = next((name.removesuffix("_top1") for name in line if name in ("validation_top1", "test_top1")), None)
    selecting = (
        "" if split is None else f" | {split} loss {line[f'{split}_loss']:.4f} top-1 {line[f'{split}_top1']:6.2f} %"
    )
    log.info(
        f"epoch {line['epoch']:>{len(str(config.epochs))}}/{config.epochs}"
        f" | train loss {line['train_loss']:.4f} top-1 {line['train_top1']:6.2f} %{selecting}"
        f" | lr {line['lr']:.2g} | {rate(line['images_per_second'])} | {duration(line['seconds'])}"
        f"{' | synthetic data' if synthetic else ''}"
    )
