"""A trial that a GPU had too little memory for: what is tried before it has failed, and how it is alone on its GPU meanwhile.

It is lined up again, to run while no other trial of the sweep does on the same GPU: several workers may share one, and what
one takes another lacks. If that does not help, once more, alone and with its batch cut into parts (`hardware.accumulate`).
Then it has failed. Who is alone is told by locks of the kernel's, which go when their process does, however that ends. They lie
on this machine's own disk: over NFS they may not work, and another machine has other GPUs.
"""

import fcntl
import gc
import hashlib
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gacsnn.runtime.console import log
from gacsnn.runtime.cores import visible_gpus
from gacsnn.runtime.signals import stop_if_requested

# The attribute of a trial that a GPU's memory was too small for, and that is taken up again: what was said.
OUT_OF_MEMORY = "out_of_memory"

# The attribute of a trial that takes such a one up: what is done about it; and those there are, in their order, in words.
REMEDY = "remedy"
REMEDIES = {"alone": "alone", "parts": "alone, in parts"}

# Parts that a batch is cut into that was whole, and one that was cut automatically.
FIRST_PARTS, MOST_PARTS = 4, 16

# Seconds between looks whether a GPU has become free.
LOOK_EVERY = 0.2


def next_remedy(attributes: Mapping[str, Any]) -> str | None:
    """What is to be tried after a trial with these attributes; None when all was."""
    order = [None, *REMEDIES, None]
    return order[order.index(attributes.get(REMEDY)) + 1]


def tried(attributes: Mapping[str, Any]) -> str:
    """What was, in words, for the reason of a trial that has failed."""
    names = list(REMEDIES)
    done = names[: names.index(attributes[REMEDY]) + 1] if REMEDY in attributes else []
    return f"; tried as it was, {' and '.join(REMEDIES[name] for name in done)}" if done else ""


def in_parts(accumulate: int | str, batch_size: int) -> str:
    """The override that cuts a batch into more parts than were too few; how many `auto` took is not known here."""
    parts = {1: FIRST_PARTS, "auto": MOST_PARTS}.get(accumulate) or 2 * int(accumulate)
    return f"hardware.accumulate={min(parts, batch_size)}"


def give_back(errors: Iterable[BaseException]) -> None:
    """Free what runs held: of those that failed, tensors live in the frames of the traceback; and torch keeps a GPU's memory."""
    for error in errors:
        traceback.clear_frames(error.__traceback__)
    gc.collect()
    torch = sys.modules.get("torch")  # a run brought it to this process, or there is nothing to free
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def room(folder: Path, alone: bool) -> Iterator[None]:
    """Share the GPUs of this process with other trials of the sweep, or have them `alone`, while the context lasts. Waits for it.

    Who is to be alone keeps the door meanwhile, so that it waits for those at work and for nobody after them.
    """
    sweep = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with ExitStack() as held:
        for gpu in sorted(visible_gpus()) or [
            "none"
        ]:  # all in one order: two that wait for each other's would wait for ever
            file = f"{tempfile.gettempdir()}/gacsnn-{os.getuid()}-{sweep}-{re.sub('[^A-Za-z0-9-]', '_', gpu)}"
            door = held.enter_context(locked(f"{file}.door", fcntl.LOCK_EX))
            kind, waiting = (fcntl.LOCK_EX, "waits to be alone") if alone else (fcntl.LOCK_SH, "")
            held.enter_context(locked(f"{file}.room", kind, waiting))
            if not alone:
                fcntl.flock(door, fcntl.LOCK_UN)
        yield


@contextmanager
def locked(file: str, kind: int, waiting: str = "") -> Iterator[int]:
    """A lock on a file, waited for with an ear for signals; says once that it waits.

    Raises:
        OSError: when the file cannot be made.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waiting:
                    log.info(waiting)
                    waiting = ""
            stop_if_requested()
            time.sleep(LOOK_EVERY)
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a loader's process that is still ending has it open, too
        os.close(descriptor)
