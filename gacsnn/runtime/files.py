"""Files that are whole or not there, and the older ones that are kept beside them."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gacsnn.errors import InputError, TakenOverError
from gacsnn.runtime.signals import uninterrupted

# In a folder that was taken over from a process of which nothing was heard: says who has it, to that process if it lives.
TAKEN_OVER = ".taken_over"

# Bytes of a name, on every usual file system.
LONGEST = 255


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError name this file: one of writing names none, and one of renaming the temporary file."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def check_ours(folder: Path) -> None:
    """Raises TakenOverError when a folder was taken over."""
    with suppress(FileNotFoundError, NotADirectoryError):
        raise TakenOverError(f"{folder}: {(folder / TAKEN_OVER).read_text()} has taken over; nothing more is written")


def write_whole(
    path: Path, write: Callable[[IO[bytes]], object], just_before: Callable[[], object] = lambda: None
) -> None:
    """Write a temporary file beside `path`, flush it to the disk, then rename it; `just_before` that, nothing can be lacking.

    Raises:
        TakenOverError: when the folder, or the one that it lies in, was taken over.
    """
    for folder in (path.parent, path.parent.parent):
        check_ours(folder)
    temporary = temporary_of(path)
    try:
        with uninterrupted(), naming(path):
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            just_before()
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_temporaries(folder: Path) -> None:
    """What killed processes were writing there. Nobody else may be writing meanwhile."""
    for left in temporaries(folder):
        left.unlink(missing_ok=True)


def temporaries(folder: Path) -> Iterator[Path]:
    return folder.glob(".*.tmp")


def duplicate(source: Path, target: Path) -> None:
    """Have `target` hold what `source` does, at no moment less than a whole file; a hard link, where the disk has such."""
    if target.exists() and target.samefile(source):
        return  # and a rename of one link onto another does nothing
    temporary = temporary_of(target)
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copy2(source, temporary)  # with its time, by which `needless` tells the order of writing
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def numbered(path: Path, number: int) -> Path:
    """last.pt, 2 -> last-2.pt; 0: the path itself."""
    return path.with_name(f"{path.stem}-{number}{path.suffix}") if number else path


def kept(path: Path) -> list[Path]:
    """The file, and the older ones that stand beside it (last-1.pt, last-2.pt, ...), the newest first."""
    found = {0: path} if path.exists() else {}
    for older in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        number = older.stem.removeprefix(f"{path.stem}-")
        if number.isdecimal() and older == numbered(path, int(number)):
            found[int(number)] = older
    return [found[number] for number in sorted(found)]


def shift(path: Path) -> None:
    """Before `path` is replaced: keep it as last-1.pt, that one as last-2.pt, and so on up to the first gap."""
    if not path.exists() or (numbered(path, 1).exists() and numbered(path, 1).samefile(path)):
        return  # kept already: a process was killed before it replaced the file
    end = 1
    while numbered(path, end).exists():
        end += 1
    for number in reversed(range(1, end)):
        numbered(path, number).replace(numbered(path, number + 1))
    duplicate(path, numbered(path, 1))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8. Bytes of a file name that are no text are written as `\\udcff`."""
    write_whole(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def check_name(option: str, path: Path) -> None:
    """Raises InputError for what no file system takes as a path, be it that a part is not there yet; and for what lies where
    this user may not look."""
    try:
        path.lstat()
        if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            raise PermissionError
    except PermissionError:
        raise InputError(f"{option}={path}: cannot be looked into (no permission)") from None
    except (FileNotFoundError, NotADirectoryError):
        for part in path.parts:
            if len(os.fsencode(part)) > LONGEST:
                raise InputError(
                    f"{option}={path}: is no path that there could be (a name of over {LONGEST} bytes)"
                ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{option}={path}: is no path that there could be ({reason})") from None


def check_writable(option: str, path: Path) -> None:
    """Raise an error if a folder cannot be made or written there. Nothing is made.

    Raises:
        InputError: for a path that cannot become a folder, and without permission.
        OSError: if its file system is mounted read-only.
    """
    check_name(option, path)
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:  # SQLite and TensorBoard take no such name
        raise unwritable(option, path, "its name is not UTF-8") from None
    ancestor = next(parent for parent in [path, *path.absolute().parents] if os.path.lexists(parent))
    if not ancestor.is_dir():
        raise unwritable(option, path, f"{ancestor} is a {'file' if ancestor.exists() else 'link to nowhere'}")
    if not may_write(ancestor):
        raise unwritable(option, path, "no permission")


def may_write(path: Path) -> bool:
    """Whether this user may write a file, or in a folder.

    Raises:
        OSError: if its file system is mounted read-only.
    """
    allowed = os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0))
    if not allowed and os.statvfs(path).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    return allowed


def make_folder(option: str, path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        InputError: if the path cannot become a folder.
        OSError: if the disk is full or fails.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise unwritable(option, path, error.strerror or str(error)) from None


def unwritable(option: str, path: Path, reason: str) -> InputError:
    return InputError(f"{option}={path}: cannot be written ({reason}); give another folder")


def check_file(path: Path, option: str) -> None:
    """Raises InputError when there is no such file."""
    check_name(option, path)
    if not path.is_file():
        raise InputError(
            f"{option}={path}: {'this is a folder; give a file in it' if path.is_dir() else 'no such file'}"
        )


def check_working_folder() -> None:
    """Raises InputError when the folder that the program was started in is gone."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError(
            "the folder that this was started in has been removed; change to another, and start again"
        ) from None
