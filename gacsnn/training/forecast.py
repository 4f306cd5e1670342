"""How long a training will take, said once, as soon as a few of its steps are timed."""

import time

from gacsnn.runtime.console import duration, log
from gacsnn.training.trainer import Trainer

# Steps after the first one, which waits for libraries and memory; and the seconds that they take, for one to trust the clock.
FEW, ENOUGH = 3, 1.0

# Seconds of a training that is not worth a word.
SHORT = 10.0

# What an image costs that is only classified, as a part of what it costs in training: a backward pass takes twice a forward one.
FORWARD = 1 / 3


class Forecast:
    """`evaluated`: how many images are classified after each epoch. Of several processes only the first one speaks."""

    def __init__(self, trainer: Trainer, evaluated: int) -> None:
        self.trainer = trainer
        self.evaluated = evaluated
        self.first: tuple[int, int, float] | None = None
        self.steps = 0
        self.said = False

    def waits(self) -> bool:
        """Called after each step: whether it is one to be waited for, so that the time of the steps so far is known."""
        self.steps += 1
        return self.steps in (1, 1 + FEW)

    def look(self) -> None:
        """After the losses of all steps so far were read, which is to wait for them."""
        if self.said:
            return
        now, state = time.perf_counter(), self.trainer.state
        if self.first is None:
            self.first = state.epoch, state.step, now
            return
        epoch, step, begun = self.first
        if state.step - step >= FEW and now - begun >= ENOUGH:
            self.said = True
            # Where epochs are so short that they lie in between, so does what is evaluated after them.
            self.say((now - begun) / (state.step - step), 0 if state.epoch > epoch else self.evaluated)

    def say(self, step_seconds: float, evaluated: int) -> None:
        config, state = self.trainer.config, self.trainer.state
        ahead = (config.epochs - state.epoch) * self.trainer.steps_per_epoch - state.batch
        allowed = ahead if config.max_steps is None else config.max_steps - state.step
        limited, ahead = allowed < ahead, min(allowed, ahead)
        image_seconds = FORWARD * step_seconds / min(config.batch_size, self.trainer.images)
        seconds = ahead * (step_seconds + evaluated * image_seconds / self.trainer.steps_per_epoch)
        if seconds < SHORT:
            return
        epochs = config.epochs - state.epoch
        what = f"{ahead:,} steps" if limited else f"{epochs} epoch{'' if epochs == 1 else 's'}"
        log.info(f"about {duration(seconds)} for the {what} ahead")
