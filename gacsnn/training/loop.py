"""The training loop."""

import time
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from gacsnn.config.schema import Config, Train
from gacsnn.data.loader import Loader, Normalise, begin_epoch, image_count
from gacsnn.data.mixing import draw
from gacsnn.errors import DivergenceError
from gacsnn.runtime.console import Progress, duration, log
from gacsnn.runtime.run_dir import OnEpochEnd, RunDirectory
from gacsnn.training import checkpoint
from gacsnn.training.metrics import evaluate
from gacsnn.training.trainer import Trainer, TrainState

# Steps between looks at the loss: to read it is to wait for the GPU.
CHECK_EVERY = 10


def train(
    trainer: Trainer,
    loader: Loader,
    validation: Loader | None,
    normalise: Normalise,
    run_dir: RunDirectory,
    classes: list[str],
    on_epoch_end: OnEpochEnd | None = None,
) -> None:
    """Train to the last epoch, or until `max_steps` or `max_minutes`. After each epoch: validate, record, save.

    `on_epoch_end` is called after all that, and may end the training by what it raises.
    `validation` is the split that picks the best epoch (`task.selected_by`); None: the last epoch is the best.

    Raises:
        DivergenceError: when the loss or a weight is no longer finite; the checkpoints are those of the epoch before.
    """
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only wanted here

    config, state = trainer.config, trainer.state
    assert isinstance(config.task, Train)
    split = config.task.selected_by
    started, before = time.perf_counter(), state.seconds
    stop = trainer.limit_reached(0)
    with closing(SummaryWriter(str(run_dir.tensorboard), purge_step=state.epoch + 1)) as board:
        while state.epoch < config.epochs and stop is None:
            lr = trainer.optimizer.param_groups[0]["lr"]
            line, stop = train_epoch(trainer, loader, normalise, started)
            state.epoch += 1
            if config.scheduler.interval == "epoch":
                trainer.scheduler.step()
            better = True
            if validation is not None:
                score = evaluate(trainer.model, validation, normalise, trainer.machine, "validating")
                line |= {f"{split}_loss": score.loss, f"{split}_top1": score.top1, "firing_rate": score.firing_rate}
                better = is_better(score.top1, score.loss, state)
                if better:
                    state.best_epoch, state.best_top1, state.best_loss = state.epoch, score.top1, score.loss
            check_weights(trainer)
            state.seconds = before + time.perf_counter() - started
            line = {"epoch": state.epoch, "step": state.step, "lr": lr, **line, "seconds": state.seconds}
            content = trainer.content(classes)
            record(line, run_dir, board, config)
            # best before last: after a kill between them, the epoch is done again and writes the same best.
            if better:
                checkpoint.save(run_dir.best, content)
            checkpoint.save(run_dir.last, content)
            if on_epoch_end is not None:
                on_epoch_end(line)
    if stop is not None:
        log.info(
            f"training stopped after {state.step} steps, in epoch {state.epoch} of {config.epochs}: {stop}; what is left of that "
            "epoch is passed over where the run goes on"
        )


def train_epoch(
    trainer: Trainer, loader: Loader, normalise: Normalise, started: float
) -> tuple[dict[str, float], str | None]:
    """One pass over the training split, or less where a limit ends it: metrics, and which limit."""
    trainer.model.train()
    trainer.drawn = draw(trainer.config.augmentation)
    state, config, device = trainer.state, trainer.config, trainer.machine.device
    begun, first_image = time.perf_counter(), state.images
    loss_sum, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    pending: list[Tensor] = []
    stop = None
    begin_epoch(loader, state.epoch)
    total = image_count(loader)
    with Progress(f"epoch {state.epoch + 1}/{config.epochs}", total) as progress:
        for images, labels in loader:
            loss, hits = trainer.step(normalise(images), labels.to(device, non_blocking=True))
            loss_sum += loss * len(labels)
            correct += hits
            pending.append(loss)
            seen = state.images - first_image
            if len(pending) == CHECK_EVERY or seen == total:
                check_losses(pending, state)
                pending.clear()
                progress.advance(seen - progress.done, loss=loss_sum.item() / seen, top1=100 * correct.item() / seen)
            if stop := trainer.limit_reached((time.perf_counter() - started) / 60):
                break
    if pending:
        check_losses(pending, state)
    seconds, seen = time.perf_counter() - begun, state.images - first_image
    state.step_seconds += seconds
    metrics = {
        "train_loss": loss_sum.item() / seen,
        "train_top1": 100 * correct.item() / seen,
        "images_per_second": seen / seconds,
    }
    return metrics, stop


def check_losses(losses: list[Tensor], state: TrainState) -> None:
    """Raise DivergenceError when one of the latest losses is not finite, saying at which step."""
    values = torch.stack(losses).float().cpu()
    for index in (~values.isfinite()).nonzero().flatten().tolist():
        step = state.step - len(losses) + index + 1
        raise DivergenceError(f"the loss became {values[index].item()} at step {step} (epoch {state.epoch + 1})")


def check_weights(trainer: Trainer) -> None:
    """Raise DivergenceError when a weight is not finite: the next loss would show it too late for the checkpoint."""
    for name, parameter in trainer.model.named_parameters():
        if not parameter.isfinite().all():
            raise DivergenceError(f"the weights {name} are no longer finite at step {trainer.state.step}")


def is_better(top1: float, loss: float, state: TrainState) -> bool:
    """Higher top-1 on the split that selects, or the same with a smaller loss."""
    if state.best_top1 is None or state.best_loss is None:
        return True
    return (top1, -loss) > (state.best_top1, -state.best_loss)


def record(line: dict[str, Any], run_dir: RunDirectory, board: Any, config: Config) -> None:
    """An epoch's metrics: to metrics.jsonl, TensorBoard and the log."""
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
        f" | lr {line['lr']:.2g} | {line['images_per_second']:.0f} images/s | {duration(line['seconds'])}"
        f"{' | synthetic data' if synthetic else ''}"
    )
