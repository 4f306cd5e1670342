"""A network in training: its state, which checkpoints keep, and the step."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from gacsnn.config.saved import to_saved
from gacsnn.config.schema import Config
from gacsnn.data.mixing import Draw, draw, mix
from gacsnn.runtime.device import Machine
from gacsnn.training import checkpoint
from gacsnn.training.losses import Loss, make_loss
from gacsnn.training.optim import make_optimizer, make_scheduler


@dataclass
class TrainState:
    """What has been done so far; part of every checkpoint.

    `batch` and the `epoch_` sums are of the epoch at work, which a run that goes on finishes.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    epoch_lr: float | None = None
    epoch_loss: float = 0.0
    epoch_correct: int = 0
    epoch_images: int = 0
    epoch_seconds: float = 0.0
    images: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best_epoch: int | None = None
    best_top1: float | None = None
    best_loss: float | None = None


class Trainer:
    """A network in training on a number of images, with all that changes on the way."""

    def __init__(self, model: nn.Module, config: Config, machine: Machine, images: int) -> None:
        self.model = model
        self.config = config
        self.machine = machine
        self.optimizer = make_optimizer(model, config.optimizer)
        steps_per_epoch = -(-images // config.batch_size)
        self.scheduler = make_scheduler(self.optimizer, config.scheduler, config.epochs, steps_per_epoch)
        self.scaler = machine.scaler()
        self.loss: Loss = make_loss(config.loss)
        self.state = TrainState()
        self.drawn = Draw()

    def content(self, classes: list[str]) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "train_state": asdict(self.state),
            "rng": checkpoint.random_state(),
            "config": to_saved(self.config),
            "classes": classes,
            "drawn": asdict(self.drawn),
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        # The schedule may be another one by now, for more epochs: the rate is what it says of the steps done.
        for group, base, lr_factor in zip(
            self.optimizer.param_groups, self.scheduler.base_lrs, self.scheduler.lr_lambdas, strict=True
        ):
            group["lr"] = base * lr_factor(self.scheduler.last_epoch)
        if content["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(content["scaler"])
        self.state = TrainState(**content["train_state"])
        self.drawn = Draw(**content.get("drawn", {}))
        checkpoint.restore_random_state(content["rng"])

    def begin_epoch(self) -> None:
        """Draw what is kept for an epoch; not again where the epoch goes on."""
        if self.state.batch == 0:
            self.drawn = draw(self.config.augmentation)
            self.state.epoch_lr = self.optimizer.param_groups[0]["lr"]

    def end_epoch(self) -> None:
        state = self.state
        state.epoch, state.batch, state.epoch_lr = state.epoch + 1, 0, None
        state.epoch_loss, state.epoch_correct, state.epoch_images, state.epoch_seconds = 0.0, 0, 0, 0.0
        if self.config.scheduler.interval == "epoch":
            # torch misses an optimizer step before it, where a run goes on after the last step of an epoch.
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                self.scheduler.step()

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One optimizer step on images [B, 3, H, W] and labels [B]: the loss, and how many were classified correctly."""
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
        self.state.step += 1
        self.state.batch += 1
        self.state.images += len(labels)
        self.state.epoch_images += len(labels)
        return loss.detach(), (logits.detach().mean(dim=1).argmax(dim=1) == labels).sum()

    def limit_reached(self, minutes: float) -> str | None:
        """Why training stops before the last epoch is done, if it does."""
        if self.config.max_steps is not None and self.state.step >= self.config.max_steps:
            return f"max_steps={self.config.max_steps}"
        if self.config.max_minutes is not None and minutes >= self.config.max_minutes:
            return f"max_minutes={self.config.max_minutes:g}"
        return None
