"""What a trial takes over from the dead one whose parameters it has: the run directory, with all its epochs.

Each trial writes in the directory of its own number, so a directory has one owner at a time, and its number only grows along
a chain of retries. How the epochs get into the new one depends on what is known of the old owner:

- It has ended. The directory is renamed: no space is needed, and what was left of the owner's group of processes writes to
  a path that is no longer there.
- It may live: it is on another machine, and nothing was heard of it. Renaming would not do: over NFS a file that is open, or a
  folder that was looked up, stays the same under its new name, and so would the lock that the owner may hold. So the files are
  copied, and a mark in the old directory tells the owner, before it writes the next one, that the run is no longer its own.
"""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from optuna.trial import FrozenTrial

from gacsnn.errors import InputError
from gacsnn.runtime.files import TAKEN_OVER
from gacsnn.runtime.run_dir import LOCK, RunDirectory
from gacsnn.sweep.leases import MAY_LIVE
from gacsnn.sweep.storage import runs_in

# Seconds for which the processes of a trial that was killed may take to end, as a loader's or those of a group.
PATIENCE = 15.0


def take_over(folder: Path, number: int, before: Sequence[FrozenTrial]) -> None:
    """Give trial `number` the epochs of the trials that it takes up, the latest first, if they left any in `folder`.

    Raises:
        OSError: when they cannot be moved or copied.
    """
    for trial in before:
        shutil.rmtree(part(folder, trial.number), ignore_errors=True)  # of one that was killed while it copied
    left = [trial for trial in before if (folder / str(trial.number)).is_dir()]
    saved = [t for t in left if any(RunDirectory(run).saved() for run in runs_in(folder / str(t.number)))]
    here = folder / str(number)
    if not left or here.exists():
        return
    source = (saved or left)[0]
    old = folder / str(source.number)
    runs = runs_in(old)
    if MAY_LIVE not in source.user_attrs:
        try:
            with ExitStack() as locks:
                for run in runs:
                    locks.enter_context(RunDirectory(run).lock("resume", patience=PATIENCE))
                old.rename(here)
            return
        except InputError:
            pass  # somebody is still there
    for path in dict.fromkeys([old, *runs]):  # of a trial of several runs the next one may be about to begin
        (path / TAKEN_OVER).write_text(f"trial {number}")
    for run in runs:
        copy(RunDirectory(run), part(folder, number) / run.relative_to(old))
    part(folder, number).rename(here)


def part(folder: Path, number: int) -> Path:
    """Where the copy grows, so that half of one is never taken for a run."""
    return folder / f".{number}.part"


def copy(old: RunDirectory, to: Path) -> None:
    """Copy a run directory. Its owner may write the last file that it had begun.

    A run writes the best weights before the last ones, and can go on where the best are of a later epoch, but not the other way
    round: so the last ones are copied first, and the lines of its metrics, of which it drops what is too much, after them.
    """
    (to / old.checkpoints.name).mkdir(parents=True)
    if old.last.exists():
        shutil.copy2(old.last, to / old.last.relative_to(old.path))
    left_out = shutil.ignore_patterns(LOCK, TAKEN_OVER, "*.tmp", old.last.name)
    shutil.copytree(old.path, to, ignore=left_out, dirs_exist_ok=True)
