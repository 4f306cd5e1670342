"""A network in training: its state, which checkpoints keep, and the step."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gacsnn import draws
from gacsnn.config.saved import to_saved
from gacsnn.config.schema import Config
from gacsnn.data.loader import shares_of, slice_of
from gacsnn.data.mixing import Draw, Mixed, draw, mix, partners
from gacsnn.data.normalise import Normalise
from gacsnn.data.seeds import seeded
from gacsnn.errors import InputError
from gacsnn.models import SpikingResNet
from gacsnn.runtime.device import Machine
from gacsnn.training import checkpoint
from gacsnn.training.graphs import VALIDATION, Graphs, captured, make_room
from gacsnn.training.losses import Loss, make_loss
from gacsnn.training.optim import load_optimizer, make_optimizer, make_scheduler
from gacsnn.training.parallel import together
from gacsnn.weights import load_weights

# What is drawn by (seed, epoch, batch), beside the order of the images.
MIXING = 1


@dataclass
class TrainState:
    """What has been done so far; part of every checkpoint.

    `batch` and the `epoch_` sums are of the epoch at work, which a run that goes on finishes. `keyed` says that draws
    belong to (seed, epoch, batch, image); in runs that older versions began they come from one generator, and still do.
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
    keyed: bool = False
    best_epoch: int | None = None
    best_top1: float | None = None
    best_loss: float | None = None


class Step(NamedTuple):
    """What came of a step: this process's share of the batch's loss and of what was classified correctly, and all its images."""

    loss: Tensor
    correct: Tensor
    images: int


def set_rates(optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LambdaLR) -> None:
    """The schedule may be another one by now, for more epochs: the rate is what it says of the steps done."""
    for group, base, lr_factor in zip(optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True):
        group["lr"] = base * lr_factor(scheduler.last_epoch)


class Trainer:
    """A network in training on a number of images, with all that changes on the way.

    Where several processes train it together, each step is that of the whole batch: of its slice of the batch each has the
    gradient of its share of the loss, and DDP adds up.
    """

    def __init__(
        self, model: SpikingResNet, config: Config, machine: Machine, normalise: Normalise, images: int
    ) -> None:
        self.model, self.config = model, config
        self.machine = machine
        self.group = machine.group
        self.normalise = normalise
        self.images = images
        self.network = together(model, config, self.group)
        self.optimizer = make_optimizer(model, config.optimizer, fused=model.kernels is not None)
        self.steps_per_epoch = -(-images // config.batch_size)
        self.scheduler = make_scheduler(self.optimizer, config.scheduler, config.epochs, self.steps_per_epoch)
        self.scaler = machine.scaler()
        self.loss: Loss = make_loss(config.loss)
        self.state = TrainState(keyed=True)
        self.belongs: dict[str, Any] = {}  # to which run and which images, as its checkpoints say
        self.drawn = Draw()
        self.graphs: Graphs | None = None

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
            "images": self.images,
            "drawn": asdict(self.drawn),
            **self.belongs,
        }

    def restore(self, content: dict[str, Any], source: str) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: one line that begins with `source`, when it is not one of such a run.
        """
        part = partial(checkpoint.part, source)
        with part("model"):
            load_weights(self.model, content["model"], source)
        with part("optimizer"):
            load_optimizer(self.optimizer, content["optimizer"])
        with part("scheduler"):
            self.scheduler.load_state_dict(content["scheduler"])
            set_rates(self.optimizer, self.scheduler)
        with part("scaler"):
            if content["scaler"] and self.scaler.is_enabled():
                self.scaler.load_state_dict(content["scaler"])
        with part("train_state"):
            self.state = TrainState(**content["train_state"])
        if self.group.size > 1 and not self.state.keyed:
            raise InputError(
                "hardware.processes: this run was begun by a version whose random numbers are those of one process; go on "
                "with one"
            )
        with part("drawn"):
            self.drawn = Draw(**content.get("drawn", {}))
        with part("rng"):
            checkpoint.restore_random_state(content["rng"])

    def begin_epoch(self) -> None:
        """Draw what is kept for an epoch; not again where the epoch goes on."""
        if self.state.batch == 0:
            with self.seeded(0):
                self.drawn = draw(self.config.augmentation)
            self.state.epoch_lr = self.optimizer.param_groups[0]["lr"]

    def seeded(self, batch: int) -> AbstractContextManager[None]:
        """What is drawn for a batch, counted from 1, or, with 0, for the epoch."""
        augmentation = self.config.augmentation
        if not self.state.keyed or not (augmentation.cutmix_probability or augmentation.mixup_probability):
            return nullcontext()
        return seeded(self.config.seed, self.state.epoch, batch, MIXING)

    def end_epoch(self) -> None:
        state = self.state
        state.epoch, state.batch, state.epoch_lr = state.epoch + 1, 0, None
        state.epoch_loss, state.epoch_correct, state.epoch_images, state.epoch_seconds = 0.0, 0, 0, 0.0
        if self.config.scheduler.interval == "epoch":
            # torch misses an optimizer step before it, where a run goes on after the last step of an epoch.
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                self.scheduler.step()

    def step(self, images: Tensor, labels: Tensor, keys: Tensor) -> Step:
        """One optimizer step, given this process's slice of a batch: uint8 [B, 3, H, W], labels and keys [B]."""
        device, state = self.machine.device, self.state
        count = min(self.config.batch_size, self.images - state.batch * self.config.batch_size)
        labels = labels.to(device, non_blocking=True)
        mixed = self.mixed(images, labels, count)
        logits = self.machine.exact(logits_of(self, mixed.images, keys))
        loss = self.share_of_loss(logits, mixed, count)
        self.optimizer.zero_grad(set_to_none=True)
        # DDP divides by the number of processes; the shares are to be added up.
        self.scaler.scale(loss if self.group.size == 1 else loss * self.group.size).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.config.scheduler.interval == "step":
            self.scheduler.step()
        state.step += 1
        state.batch += 1
        state.images += count
        state.epoch_images += count
        return Step(loss.detach(), (logits.detach().mean(dim=1).argmax(dim=1) == labels).sum(), count)

    def mixed(self, images: Tensor, labels: Tensor, count: int) -> Mixed:
        """The slice mixed with its partners, which may lie in the slices of other processes."""
        with self.seeded(self.state.batch + 1):
            if self.config.augmentation.drawn_every == "batch":
                self.drawn = draw(self.config.augmentation)
            partner = partners(count, self.drawn)
        if partner is None:
            return mix(self.normalise(images), labels, images, labels, self.drawn)
        partner = partner.to(labels.device, non_blocking=True)  # to wait for a copy is to wait for the step before
        if self.group.size == 1:
            normalised = self.normalise(images)
            return mix(normalised, labels, normalised[partner], labels[partner], self.drawn)
        counts = shares_of(count, self.group.size)
        everyone = torch.cat(self.group.gathered(images.to(labels.device, non_blocking=True), counts))
        every_label = torch.cat(self.group.gathered(labels, counts))
        partner = partner[slice_of(count, self.group.rank)]
        return mix(self.normalise(images), labels, self.normalise(everyone[partner]), every_label[partner], self.drawn)

    def share_of_loss(self, logits: Tensor, mixed: Mixed, count: int) -> Tensor:
        """What these images add to the mean loss of the whole batch."""
        if len(logits) == 0:
            return logits.sum() * 0  # the mean of nothing is no number
        loss = self.loss(logits, mixed.labels)
        if mixed.lam < 1:
            loss = mixed.lam * loss + (1 - mixed.lam) * self.loss(logits, mixed.partners)
        return loss if len(logits) == count else loss * (len(logits) / count)

    def limit_reached(self) -> bool:
        """Whether training stops here, be the last epoch done or not."""
        return self.config.max_steps is not None and self.state.step >= self.config.max_steps

    def over(self) -> bool:
        """Whether there is no step left to do; an epoch of which only the end is missing is not over."""
        return self.limit_reached() and self.state.batch < self.steps_per_epoch


def capture(trainer: Trainer, size: tuple[int, int], parts: int) -> None:
    """Have the step of a full batch of such images, height and width, as CUDA graphs, where these are wanted and can be had.

    Raises:
        InputError: when they are asked for by name, and cannot be had.
    """
    count, images, why = trainer.config.batch_size, trainer.images, None
    if not trainer.state.keyed:
        why = "the random numbers of a run that an older version began are not those of its images"
    elif count > images:
        why = "an epoch has less than one batch"
    options, beside = trainer.config.hardware, max(VALIDATION, images % count / count)
    trainer.graphs = captured(trainer.model, trainer.machine, options, (count, *size), beside, parts, why)


def release(trainer: Trainer) -> None:
    """Give back what graphs hold of the GPU's memory; torch's own parts of one refer to each other."""
    if trainer.graphs is not None:
        trainer.graphs = None
        make_room()


def logits_of(trainer: Trainer, images: Tensor, keys: Tensor) -> Tensor:
    """Of this process's normalised images, [B, T, classes]; keys [B], on whatever device."""
    keys = keys.to(images.device, non_blocking=True)
    if trainer.graphs is not None and trainer.graphs.serve(images):
        return trainer.graphs.run(images, keys)
    with trainer.machine.autocast(), draws.keyed(keys if trainer.state.keyed else None):
        return trainer.network(images)
