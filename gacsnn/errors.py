"""The ways in which a run or a sweep stops that are no fault of the program."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class GacsnnError(Exception):
    """Whatever stops a run or a sweep and is shown as one line."""

    exit_code = 1
    shared = False  # raised by all processes of a group together
    follows = False  # only because another process of the group ended


class InputError(GacsnnError, ValueError):
    """What the user gave is wrong. The message is one line: what is wrong, and what to do."""

    exit_code = 2

    def __str__(self) -> str:
        # From a loader's worker process torch brings it back inside a traceback, of which the last line is ours.
        last = super().__str__().strip().rpartition("\n")[2]
        return last.removeprefix(f"{type(self).__module__}.{type(self).__name__}: ")


class DivergenceError(GacsnnError, ArithmeticError):
    """The loss is no longer a finite number: the input was well formed, the training failed."""


class GpuMemoryError(GacsnnError):
    """A GPU has too little memory for the run: another batch, or a batch in parts, may fit."""


class MachineError(GacsnnError):
    """The machine failed, not the run: no space left, a folder gone, an input or output error. It can go on later."""


class UnavailableError(MachineError):
    """A fault of the machine that passes: a full disk, a file server that is away. A later try may succeed."""


# The errors of files and of the host's memory that pass. Others, such as a file that is gone, stay as they are.
PASSING = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EAGAIN, errno.ENFILE, errno.EMFILE),
    *(
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EREMOTEIO,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENODEV,
    ),
)


def machine_error(error: OSError, place: object, remedy: str) -> MachineError:
    """Return a file's error as one line: `place` stands in it if the error names no file."""
    kind = UnavailableError if error.errno in PASSING else MachineError
    return kind(f"{error.filename or place}: {error.strerror or error}; {remedy}")


class StorageError(UnavailableError):
    """The storage of a study cannot be reached, and the patience of the sweep is at an end; or its file is gone."""


class TakenOverError(GacsnnError):
    """Another process has taken over what this one was at work on, because nothing was heard of it: it writes nothing more."""


class SweepError(GacsnnError, RuntimeError):
    """A sweep stopped before its end, because too many of its trials failed."""


class Pruned(Exception):  # noqa: N818  it is none
    """The study has stopped this run early. The run directory keeps what was done."""


# Errors of the operating system that another path would not have: no permission, a file in the way of a folder, a name that
# the file system refuses.
OF_PATH = (
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP),
)

# SQLite's words about a file on a disk that is full, failing or read-only.
OF_SQLITE = ("database or disk is full", "disk I/O error", "attempt to write a readonly database")

# The remedy for a disk that is full, read-only or failing.
START_AGAIN = "free space there or change the folder, then start the command again"


def file_error(error: BaseException, where: object, remedy: str = START_AGAIN) -> GacsnnError | None:
    """Return an error of the file system as a MachineError, or as an InputError if another path would not have it.

    None stands for any other error. `where` is named if the error names no file.
    """
    if isinstance(error, OSError) and error.errno is not None:  # Hydra has OSErrors of its own, without a number
        if error.errno in OF_PATH and error.filename:
            reason = "no permission" if isinstance(error, PermissionError) else error.strerror or str(error)
            return InputError(f"{error.filename}: {reason}; give another path")
        return machine_error(error, where, remedy)
    if not isinstance(error, GacsnnError) and (said := [words for words in OF_SQLITE if words in str(error)]):
        return UnavailableError(f"{where}: {said[0]}; {remedy}")
    return None


def is_machine_fault(error: BaseException) -> bool:
    """Whether the machine failed, and not the run."""
    return isinstance(error, MachineError | MemoryError) or isinstance(file_error(error, ""), MachineError)


@contextmanager
def file_errors(where: object, remedy: str = START_AGAIN) -> Iterator[None]:
    """Raise errors of the file system as `file_error` returns them."""
    try:
        yield
    except Exception as error:
        if (known := file_error(error, where, remedy)) is None:
            raise
        raise known from error


def no_such(kind: str, name: str, known: Iterable[str]) -> str:
    """`kind=name: no such kind, did you mean X?; choose one of X, Y`."""
    known = list(known)
    return f"{kind}={name}: no such {kind}{nearest(name, known)}; choose one of {', '.join(known)}"


def other_steps(there: int, here: int) -> str:
    """What to do about a checkpoint whose T is not the one asked for."""
    return (
        f"T is {there} there and {here} here, and the gate's temporal attention is tied to T; take T={there}, or train "
        f"a network with T={here}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """', did you mean X?' where a known name is near, else nothing."""
    found = closest(name, known)
    return f", did you mean {found}?" if found else ""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was meant: one that ends alike (`lr`: optimizer.lr), else one that is written nearly so."""
    ends: dict[str, str] = {each: each.rpartition(".")[2].lower() for each in known}
    end = name.rpartition(".")[2].lower()
    if alike := [each for each, its_end in ends.items() if its_end == end]:
        return get_close_matches(name, alike, n=1, cutoff=0)[0]
    if found := get_close_matches(name, list(ends), n=1, cutoff=0.6):
        return found[0]
    if found := get_close_matches(end, list(ends.values()), n=1, cutoff=0.75):
        return next(each for each, its_end in ends.items() if its_end == found[0])
    return next(iter(get_close_matches(name, list(ends), n=1, cutoff=0.5)), None)
