"""TensorBoard's files."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@contextmanager
def summary_writer(folder: Path, purge_step: int) -> Iterator["SummaryWriter"]:
    """PyTorch's own, which writes by a thread.

    What that thread could not write it shows as a traceback; here only the next call raises it.
    """
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only wanted here

    before = threading.excepthook

    def without_theirs(args: threading.ExceptHookArgs) -> None:
        theirs = type(args.thread).__module__.partition(".")[0] == "tensorboard"
        if not (theirs and isinstance(args.exc_value, OSError)):
            before(args)

    threading.excepthook = without_theirs
    try:
        with closing(SummaryWriter(str(folder), purge_step=purge_step)) as writer:
            yield writer
    finally:
        threading.excepthook = before
