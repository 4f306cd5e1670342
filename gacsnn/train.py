"""The training loop."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gacsnn import checkpoint
from gacsnn.config import Config, Train, to_dict
from gacsnn.data import Loader, begin_epoch
from gacsnn.data.augment import Draw, draw, mix
from gacsnn.errors import DivergenceError
from gacsnn.evaluate import evaluate
from gacsnn.hardware import Machine
from gacsnn.losses import Loss, make_loss
from gacsnn.optim import make_optimizer, make_scheduler
from gacsnn.pixels import Normalise
from gacsnn.progress import Progress, duration, log
from gacsnn.results import RunDirectory

# Steps between looks at the loss: to read it is to wait for the GPU.
LOOK = 10


@dataclass
class Done:
    """What has been done so far; part of every checkpoint."""

    epoch: int = 0
    step: int = 0
    pictures: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best_epoch: int | None = None
    best_top1: float | None = None
    best_loss: float | None = None


class Training:
    """A network in training on a number of pictures, with all that changes on the way."""

    def __init__(self, model: nn.Module, config: Config, machine: Machine, pictures: int) -> None:
        self.model = model
        self.config = config
        self.machine = machine
        self.optimizer = make_optimizer(model, config.optimizer)
        steps_per_epoch = -(-pictures // config.batch_size)
        self.scheduler = make_scheduler(self.optimizer, config.scheduler, config.epochs, steps_per_epoch)
        self.scaler = machine.scaler()
        self.loss: Loss = make_loss(config.loss)
        self.done = Done()
        self.drawn = Draw()

    def state(self, classes: list[str]) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "done": asdict(self.done),
            "rng": checkpoint.random_state(),
            "config": to_dict(self.config),
            "classes": classes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        # The schedule may be another one by now, for more epochs: the rate is what it says of the steps done.
        for group, base, factor in zip(
            self.optimizer.param_groups, self.scheduler.base_lrs, self.scheduler.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(self.scheduler.last_epoch)
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.done = Done(**state["done"])
        checkpoint.restore_random_state(state["rng"])

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One optimizer step on pictures [B, 3, H, W] and labels [B]: the loss, and how many were recognised."""
        if self.config.augmentation.drawn_every == "batch":
            self.drawn = draw(self.config.augmentation)
        mixed = mix(images, labels, self.drawn)
        with self.machine.autocast():
            logits = self.model(mixed.images)
        logits = logits.float()
        loss = self.loss(logits, mixed.labels)
        if mixed.lam < 1:
            loss = mixed.lam * loss + (1 - mixed.lam) * self.loss(logits, mixed.partners)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.config.scheduler.interval == "step":
            self.scheduler.step()
        self.done.step += 1
        self.done.pictures += len(labels)
        return loss.detach(), (logits.detach().mean(dim=1).argmax(dim=1) == labels).sum()

    def limit_reached(self, minutes: float) -> str | None:
        """Why training stops before the last epoch is done, if it does."""
        if self.config.max_steps is not None and self.done.step >= self.config.max_steps:
            return f"max_steps={self.config.max_steps}"
        if self.config.max_minutes is not None and minutes >= self.config.max_minutes:
            return f"max_minutes={self.config.max_minutes:g}"
        return None


def train(
    training: Training,
    loader: Loader,
    validation: Loader | None,
    normalise: Normalise,
    directory: RunDirectory,
    classes: list[str],
    report: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Train to the last epoch, or until `max_steps` or `max_minutes`. After each epoch: validate, record, save.

    `report` is called after all that, and may end the training by what it raises.
    `validation` is the split that picks the best epoch (`task.selected_by`); None: the last epoch is the best.

    Raises:
        DivergenceError: when the loss or a weight is no longer finite; the checkpoints are those of the epoch before.
    """
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only wanted here

    config, done = training.config, training.done
    assert isinstance(config.task, Train)
    split = config.task.selected_by
    started, before = time.perf_counter(), done.seconds
    stop = training.limit_reached(0)
    with closing(SummaryWriter(str(directory.tensorboard), purge_step=done.epoch + 1)) as board:
        while done.epoch < config.epochs and stop is None:
            lr = training.optimizer.param_groups[0]["lr"]
            line, stop = train_epoch(training, loader, normalise, started)
            done.epoch += 1
            if config.scheduler.interval == "epoch":
                training.scheduler.step()
            better = True
            if validation is not None:
                score = evaluate(training.model, validation, normalise, training.machine, "validating")
                line |= {f"{split}_loss": score.loss, f"{split}_top1": score.top1, "firing_rate": score.firing_rate}
                better = is_better(score.top1, score.loss, done)
                if better:
                    done.best_epoch, done.best_top1, done.best_loss = done.epoch, score.top1, score.loss
            check_weights(training)
            done.seconds = before + time.perf_counter() - started
            line = {"epoch": done.epoch, "step": done.step, "lr": lr, **line, "seconds": done.seconds}
            state = training.state(classes)
            record(line, directory, board, config)
            # best before last: after a kill between them, the epoch is done again and writes the same best.
            if better:
                checkpoint.save(directory.best, state)
            checkpoint.save(directory.last, state)
            if report is not None:
                report(line)
    if stop is not None:
        log.info(
            f"training stopped after {done.step} steps, in epoch {done.epoch} of {config.epochs}: {stop}; what is left of that "
            "epoch is passed over where the run goes on"
        )


def train_epoch(
    training: Training, loader: Loader, normalise: Normalise, started: float
) -> tuple[dict[str, float], str | None]:
    """One pass over the training split, or less where a limit ends it: metrics, and which limit."""
    training.model.train()
    training.drawn = draw(training.config.augmentation)
    done, config, device = training.done, training.config, training.machine.device
    begun, first_picture = time.perf_counter(), done.pictures
    loss_sum, recognised = torch.zeros((), device=device), torch.zeros((), device=device)
    unseen: list[Tensor] = []
    stop = None
    begin_epoch(loader, done.epoch)
    total = len(loader.dataset)  # type: ignore[arg-type]
    with Progress(f"epoch {done.epoch + 1}/{config.epochs}", total) as progress:
        for images, labels in loader:
            loss, hits = training.step(normalise(images), labels.to(device, non_blocking=True))
            loss_sum += loss * len(labels)
            recognised += hits
            unseen.append(loss)
            seen = done.pictures - first_picture
            if len(unseen) == LOOK or seen == total:
                check_losses(unseen, done)
                unseen.clear()
                progress.advance(seen - progress.done, loss=loss_sum.item() / seen, top1=100 * recognised.item() / seen)
            if stop := training.limit_reached((time.perf_counter() - started) / 60):
                break
    if unseen:
        check_losses(unseen, done)
    seconds, seen = time.perf_counter() - begun, done.pictures - first_picture
    done.step_seconds += seconds
    metrics = {
        "train_loss": loss_sum.item() / seen,
        "train_top1": 100 * recognised.item() / seen,
        "images_per_second": seen / seconds,
    }
    return metrics, stop


def check_losses(losses: list[Tensor], done: Done) -> None:
    """Raise DivergenceError when one of the latest losses is not finite, saying at which step."""
    values = torch.stack(losses).float().cpu()
    for index in (~values.isfinite()).nonzero().flatten().tolist():
        step = done.step - len(losses) + index + 1
        raise DivergenceError(f"the loss became {values[index].item()} at step {step} (epoch {done.epoch + 1})")


def check_weights(training: Training) -> None:
    """Raise DivergenceError when a weight is not finite: the next loss would show it too late for the checkpoint."""
    for name, parameter in training.model.named_parameters():
        if not parameter.isfinite().all():
            raise DivergenceError(f"the weights {name} are no longer finite at step {training.done.step}")


def is_better(top1: float, loss: float, done: Done) -> bool:
    """Higher top-1 on the split that selects, or the same with a smaller loss."""
    if done.best_top1 is None or done.best_loss is None:
        return True
    return (top1, -loss) > (done.best_top1, -done.best_loss)


def record(line: dict[str, Any], directory: RunDirectory, board: Any, config: Config) -> None:
    """An epoch's metrics: to metrics.jsonl, TensorBoard and the log."""
    synthetic = config.dataset.name == "synthetic"
    directory.append_metrics({**line, "synthetic": True} if synthetic else line)
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
