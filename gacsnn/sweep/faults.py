"""A machine's fault that lasts: a full disk costs no trial its retries, and no process tries again without a pause."""

import time

from gacsnn.errors import UnavailableError
from gacsnn.runtime.console import duration, log
from gacsnn.runtime.signals import stop_if_requested

# Seconds of the first pause and of the longest; each one is twice as long as the one before.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class MachineFault:
    """The fault that the trials of this process met last, since when, and how long the next pause is.

    `patience` is the time after which a fault that lasts ends the sweep, in seconds.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.since: float | None = None
        self.error: UnavailableError | None = None
        self.seconds = FIRST_PAUSE

    def note(self, error: object, got_on: bool = False) -> None:
        """Note the result of a trial. The last fault is over if this one is none, or came after a finished epoch (`got_on`)."""
        self.error = error if isinstance(error, UnavailableError) else None
        if self.error is None or got_on:
            self.since, self.seconds = None, FIRST_PAUSE

    def pause(self) -> None:
        """Wait before the next trial, if the last one met a fault. A signal ends the pause.

        Raises:
            UnavailableError: when the fault has lasted for longer than the patience.
        """
        if self.error is None:
            return
        now = time.monotonic()
        if self.since is None:
            self.since = now
            log.warning(
                "the machine failed; trials are retried after growing pauses, which use up no retries, for "
                f"hydra.sweeper.storage_patience_seconds={self.patience:g} at most"
            )
        left = self.since + self.patience - now
        if left <= 0:
            raise UnavailableError(
                f"{self.error}; it lasts for {duration(now - self.since)}; the same command goes on later"
            )
        until = now + min(self.seconds, left)
        self.seconds = min(2 * self.seconds, LONGEST_PAUSE)
        self.error = None
        while time.monotonic() < until:
            stop_if_requested()
            time.sleep(0.05)
