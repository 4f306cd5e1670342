"""Optuna's journal file, with lines that a killed process or a full disk cut, and with locks that nobody holds any more."""

import errno
import json
import os
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock, get_lock_file

from gacsnn.runtime.console import log
from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep.about import RECORD
from gacsnn.sweep.patient import is_hurried

# Seconds after which an unchanged lock counts as stale (Optuna's own period), and after which a hurried caller gives up.
STALE = 30.0
HURRIED = 1.0

# Bytes of a step from the end of the file towards its last line.
BLOCK = 65536


class JournalLock(BaseJournalFileLock):
    """Optuna's symbolic link beside the journal; processes with Optuna's own lock exclude ours, and ours them.

    Optuna reads the age of the link's target. A link made with a relative path points nowhere, so Optuna waits for ever.
    This lock looks at the link itself.
    """

    def __init__(self, journal: Path) -> None:
        self.journal, self.link = journal.absolute(), journal.with_name(f"{journal.name}.lock")
        self.held: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Wait for the lock.

        Raises:
            OSError: if a signal asks for the end, or the caller does not wait, while the same lock stays.
        """
        seen, since, pause = None, time.monotonic(), 0.001
        while True:
            try:
                self.link.symlink_to(self.journal)
                self.held = self.holder()
                return True
            except FileExistsError:
                held = self.holder()
            now = time.monotonic()
            if held != seen:
                seen, since = held, now
            elif held is not None and now - since > STALE:
                log.warning(
                    f"{self.link}: this lock did not change for {STALE:g} s; its process is gone, so it is removed"
                )
                self.remove(held)
            elif now - since > HURRIED and is_hurried():
                raise OSError(errno.EBUSY, "the journal is locked by another process", str(self.link))
            time.sleep(pause)
            pause = min(2 * pause, 0.2)

    def holder(self) -> tuple[int, int] | None:
        """Return what tells this link from a later one, or None if it is gone."""
        try:
            found = self.link.lstat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def remove(self, held: tuple[int, int] | None) -> bool:
        """Remove the lock if it is still the one that is `held`; return whether it was."""
        if held is None or self.holder() != held:
            return False
        aside = self.link.with_name(f"{self.link.name}{uuid.uuid4()}.rename")
        try:
            self.link.rename(aside)
            aside.unlink()
        except FileNotFoundError:
            return False
        return True

    def release(self) -> None:
        """Remove the own lock. Another process may have removed it, while this one was suspended, and have its own."""
        if not self.remove(self.held):
            log.warning(f"{self.link}: another process removed this lock while it was held")
        self.held = None


class Journal(JournalFileBackend):
    """A journal file that goes on after cut lines.

    Only a line that ends with a newline counts, so no process has read a cut one. Under the lock, `append_logs` moves a cut
    last line into a file beside the journal. An older version may have appended to a cut line; readers take the record at
    the end of such a line.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(str(file), JournalLock(file))
        self.file = file
        self.offsets = {0: 0}  # where the line with that number begins
        self.reported = False

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the records from that number on.

        Raises:
            ValueError: for a line that is no record and not the last.
        """
        number = log_number_from if log_number_from in self.offsets else 0
        with self.file.open("rb") as file:
            file.seek(self.offsets[number])
            lines = file.read().split(b"\n")[:-1]
        for position, line in enumerate(lines, start=1):
            record, cut = read_record(line)
            if record is None:
                if position == len(lines):
                    return
                raise ValueError(f"line {number + 1} is no record of a journal")
            if cut and not self.reported:
                self.reported = True
                log.warning(
                    f"{self.file}: line {number + 1} begins with {cut} bytes of a cut record; they are left out"
                )
            self.offsets[number + 1] = self.offsets[number] + len(line) + 1
            number += 1
            if number > log_number_from:
                yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append the records as whole lines.

        Raises:
            OSError: if the disk does not take them; the file then ends with its last whole line.
        """
        content = b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in logs)
        with uninterrupted(), get_lock_file(self._lock):  # a signal between two steps would leave the lock behind
            number = os.open(self.file, os.O_RDWR | os.O_APPEND)
            try:
                self.mend_end(number)
                append_lines(number, content)
                os.fsync(number)
            finally:
                os.close(number)

    def mend_end(self, number: int) -> None:
        """Set a cut last line aside, and end a whole one; the caller holds the lock."""
        begin, line = last_line(number)
        if not line:
            return
        if read_record(line)[0] is not None:
            if not line.endswith(b"\n"):
                append_lines(number, b"\n")
            return
        aside = self.file.with_name(f"{self.file.name}.cut-{begin}")
        with aside.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(number, begin)
        log.warning(f"{self.file}: the last line was cut; its {len(line)} bytes are kept in {aside.name}")


def read_record(line: bytes) -> tuple[dict[str, Any] | None, int]:
    """Return the record of a line, or None, and the number of bytes of a cut one before it."""
    begin = max(line.rfind(RECORD), 0)
    for start in dict.fromkeys((0, begin)):
        try:
            record = json.loads(line[start:])
        except ValueError:
            continue
        if isinstance(record, dict) and "op_code" in record:
            return record, start
    return None, 0


def last_line(number: int) -> tuple[int, bytes]:
    """Return the place of the last line of a file, and the line with its newline, if it has one."""
    begin = end = os.fstat(number).st_size
    found = b""
    while begin > 0 and b"\n" not in found[:-1]:
        step = min(BLOCK, begin)
        begin -= step
        found = os.pread(number, step, begin) + found
    start = found[:-1].rfind(b"\n") + 1
    return end - len(found) + start, found[start:]


def append_lines(number: int, content: bytes) -> None:
    """Write at the end of a file; if the disk does not take all, leave whole lines only, and raise its OSError."""
    begin, done = os.fstat(number).st_size, 0
    try:
        while done < len(content):
            done += os.write(number, content[done:])
    finally:
        if done < len(content):
            os.ftruncate(number, begin + content.rfind(b"\n", 0, done) + 1)
