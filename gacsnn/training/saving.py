"""The checkpoints of a run directory: written while training goes on, and found again.

`last.pt` is the latest; `last-1.pt`, `last-2.pt`, ... are those before it. `best.pt` is the best epoch's, and older ones stand
beside it for as long as a checkpoint is kept that is older than it: a run that has to go on from that one needs them.
"""

import copy
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from gacsnn.config.saved import from_saved
from gacsnn.runtime.console import log
from gacsnn.runtime.files import duplicate, kept, shift, write_whole
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.runtime.signals import uninterrupted
from gacsnn.training import checkpoint
from gacsnn.training.run_identity import other_run
from gacsnn.training.trainer import TrainState


class Saver:
    """Writes a run's checkpoints in a thread of its own, one after another, and keeps the latest `keep`.

    Leaving its context waits until all is written, also on the way out of an error or a signal.
    """

    def __init__(self, run_dir: RunDirectory, keep: int) -> None:
        self.run_dir = run_dir
        self.keep = keep
        self.writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self.writing: Future[None] | None = None

    def save(self, content: Mapping[str, Any], best: bool = False) -> None:
        """Take a copy of a checkpoint's content, and have it written as the last one, and as the best if it is.

        Waits for the one before.

        Raises:
            OSError: when that one could not be written.
        """
        if not self.run_dir.writes:
            return
        self.wait()
        self.writing = self.writer.submit(write, self.run_dir, copied(content), best, self.keep)

    def check(self) -> None:
        """Raises OSError when what was being written could not be; does not wait for it."""
        if self.writing is not None and self.writing.done():
            self.wait()

    def wait(self) -> None:
        """Until what is being written is. Raises OSError, once, when it could not be."""
        if self.writing is not None:
            self.writing.exception()  # an interruption here leaves it to be waited for again
            written, self.writing = self.writing, None
            written.result()

    def close(self) -> None:
        """Wait for what is being written, whatever signals come meanwhile: they stop what follows.

        Raises:
            OSError: when it could not be written.
        """
        with uninterrupted():
            self.writer.shutdown()
        self.wait()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def copied(value: Any) -> Any:
    """A copy on the CPU, which training does not change."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        made = copy.copy(value)  # of its own kind: a state dict says its version in an attribute
        made.update((key, copied(inner)) for key, inner in value.items())
        return made
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def write(run_dir: RunDirectory, content: Mapping[str, Any], best: bool, keep: int) -> None:
    """Best before last: after a kill between them, the epoch is done again and writes the same best."""
    made = checkpoint.serialise(content)
    target = run_dir.best if best else run_dir.last
    # An old one is put aside when the new one is on the disk: a disk that is full costs none.
    write_whole(target, lambda file: file.write(made), lambda: shift(target) if best or keep > 1 else None)
    if best:
        if keep > 1:
            shift(run_dir.last)
        duplicate(run_dir.best, run_dir.last)
    for path in needless(run_dir, keep):
        path.unlink(missing_ok=True)


def needless(run_dir: RunDirectory, keep: int) -> list[Path]:
    """Checkpoints beyond the number kept, and best ones older than the best that the oldest of those knows."""
    lasts, bests = kept(run_dir.last), kept(run_dir.best)
    oldest = lasts[:keep][-1]
    known = [path.samefile(oldest) or path.stat().st_mtime_ns < oldest.stat().st_mtime_ns for path in bests]
    return [*lasts[keep:], *bests[known.index(True) + 1 if True in known else len(bests) :]]


def find_best(run_dir: RunDirectory, state: TrainState, last: Mapping[str, Any] | None = None) -> Path | None:
    """Where the best weights are, as a run in this state has them; None before the first epoch's end, or when they are gone.

    `best.pt` may be of a later epoch, which a run that goes on from an older checkpoint has yet to do. A checkpoint of another
    run than that of `last`, the content of the one to go on from, is passed over with a warning.
    """
    epoch = state.epoch if state.best_epoch is None else state.best_epoch
    for path in [*kept(run_dir.best), *run_dir.saved()] if epoch else []:
        try:
            saved = checkpoint.read(path)
        except checkpoint.DamagedError:
            continue
        if last is not None:
            config = from_saved(last["config"], str(run_dir.last))
            if other := other_run(saved, config, last.get("run_id"), str(path)):
                log.warning(f"{other}; it is not used")
                continue
        found = saved["train_state"]
        if found["epoch"] == epoch and not found.get("batch", 0):
            return path
    return None


def go_back(run_dir: RunDirectory, last: Path, best: Path | None, state: TrainState) -> None:
    """Make `last` and `best` the checkpoints last.pt and best.pt, and forget what was done after them."""
    if best is None and state.epoch > 0:
        log.warning(f"{run_dir.best}: the best weights until epoch {state.epoch} are gone; later ones will be the best")
        state.best_epoch = state.best_top1 = state.best_loss = None
    if not run_dir.writes:
        return
    run_dir.truncate_after(state.epoch)
    duplicate(last, run_dir.last)
    saved = run_dir.saved()
    for damaged in saved[1 : saved.index(last)]:
        damaged.unlink()
    if best is not None:
        duplicate(best, run_dir.best)
    elif state.epoch > 0:
        for path in kept(run_dir.best):
            path.unlink()
