"""What a run says while it works: a bar on a terminal, plain lines in a log file or pipe."""

import io
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

from gacsnn.runtime.ranks import this_rank

log = logging.getLogger("gacsnn")

# Seconds between lines where there is no terminal to draw a bar on.
QUIET = 30.0


# Before each line, where several runs speak in turn: `trial 3: `.
label = ""

# Whether a run says warnings alone: as a trial of a sweep that is not verbose.
hushed = False


@contextmanager
def hush(yes: bool) -> Iterator[None]:
    """While the context lasts and `yes`, only warnings are shown; a bar on a terminal stays."""
    global hushed
    before, hushed = hushed, hushed or yes
    try:
        yield
    finally:
        hushed = before


@contextmanager
def labelled(text: str) -> Iterator[None]:
    """Begin each line with this, while the context lasts."""
    global label
    before, label = label, text
    try:
        yield
    finally:
        label = before


def replace_unprintable() -> None:
    """Have the streams replace characters that their encoding lacks: `±` in ASCII, bytes of a file name that are no text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Console(logging.Handler):
    """Lines to standard output that do not tear the bar, which is on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        if hushed and record.levelno < logging.WARNING:
            return
        prefix = label + ("warning: " if record.levelno >= logging.WARNING else "")
        # Where nobody reads any more (a worker whose sweep was killed), the run still saves what it did.
        with suppress(OSError):
            for line in record.getMessage().split("\n"):
                write_line(prefix + line if line else "", sys.stdout)


def write_line(line: str, file: TextIO) -> None:
    """One line, in one piece, with no bar in its way: lines of several threads or processes do not run into each other."""
    with tqdm.external_write_mode(file=file):
        file.write(line + "\n")
        file.flush()


def write_error(message: str) -> None:
    write_line(f"error: {message}", sys.stderr)


def speak() -> None:
    """Show the package's log on standard output, once however often it is called; of several processes the first speaks."""
    if not this_rank().first:
        log.setLevel(logging.CRITICAL + 1)
        return
    if not any(isinstance(handler, _Console) for handler in log.handlers):
        log.addHandler(_Console())
    log.setLevel(logging.INFO)
    log.propagate = False


class Progress:
    """Counts images towards a total; shows rate, time left and the latest values."""

    def __init__(self, description: str, total: int, done: int = 0) -> None:
        self.description = description
        self.total = total
        self.done = self.first = done
        self.started = self.spoke = time.monotonic()
        self.bar = tqdm(
            total=total,
            initial=done,
            desc=label + description,
            unit="img",
            leave=False,
            disable=None if this_rank().first else True,
            dynamic_ncols=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def advance(self, images: int, **values: float) -> None:
        self.done += images
        if not self.bar.disable:
            if values:
                self.bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
            self.bar.update(images)
        elif time.monotonic() - self.spoke > QUIET:
            self.spoke = time.monotonic()
            speed = (self.done - self.first) / (self.spoke - self.started)
            shown = "".join(f", {name} {value:.4g}" for name, value in values.items())
            left = duration((self.total - self.done) / speed)
            log.info(f"{self.description}: {100 * self.done / self.total:.0f} %{shown}, {rate(speed)}, {left} left")


def duration(seconds: float) -> str:
    """Return a time in words: 4.2 s, 3 min 20 s, 5 h 02 min, 12 days 7 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours // 24:,} days {hours % 24} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def rate(images_per_second: float) -> str:
    """821 images/s, 3.4 images/s, 0.034 images/s."""
    shown = f"{images_per_second:,.0f}" if images_per_second >= 9.95 else f"{images_per_second:.2g}"
    return f"{shown} images/s"


def gib(size: float) -> str:
    """Bytes as `1.5 GiB`."""
    return f"{size / 2**30:.3g} GiB"


def mib(size: float) -> str:
    """Bytes as `12.3 MiB`, or, where these are many, `1.5 GiB`."""
    return gib(size) if size >= 2**30 else f"{size / 2**20:.3g} MiB"
