"""The CPU's kernels as a shared library: compiled when they are first wanted, and kept for later runs.

A kept file is the library followed by a seal, a SHA-256 of the library and of everything that it depends on. The seal is
checked before the library is loaded: loading a damaged one would end the process.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("cpu.c")

# No -ffast-math: what is greater than a threshold, and what is no number, is to be the same as on the plain path.
FLAGS = (
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-ffp-contract=off",
    "-fopenmp",
    "-shared",
    "-fPIC",
    "-std=gnu11",
)
COMPILERS = ("cc", "gcc", "clang")

# The functions of cpu.c, and what it calls the types of their elements.
ELEMENTS = ("f32", "f64", "bf16")
SYMBOLS = (
    "norm",
    "gradients",
    *(f"{name}_{each}" for name in ("lif", "lif_backward", "sums", "statistics", "affine") for each in ELEMENTS),
)

# Code of a child process that loads a library. A broken library ends only the child.
TRIAL = "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); [getattr(library, name) for name in sys.argv[2:]]"

# Seconds for all that is started on the way to a library. A compiler takes three.
LIMIT = 25.0

# Lines of /proc/cpuinfo that -march=native depends on, on x86 and ARM.
PROCESSOR = ("vendor_id", "cpu family", "model", "flags", "CPU implementer", "CPU part", "Features")


class BuildError(Exception):
    """Why there is no library, in a few words."""


@cache
def shared_library() -> ctypes.CDLL:
    """Load the library from the user's cache, or compile it: in the cache, else in a temporary folder.

    Raises:
        BuildError: when there is no compiler, or it fails, or its library cannot be loaded.
    """
    deadline = time.monotonic() + LIMIT
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise BuildError(f"no C compiler ({', '.join(COMPILERS)}) is there")
    key = fingerprint(compiler, deadline)
    reason: object = "no cache folder that this user alone can write; set XDG_CACHE_HOME"
    if folder := kept():
        try:
            return load(folder, key, compiler, deadline)
        except (BuildError, OSError) as error:
            reason = error
    try:
        with tempfile.TemporaryDirectory(prefix="gacsnn-") as temporary:
            library = load(Path(temporary), key, compiler, deadline)  # a loaded library no longer needs its file
    except OSError as error:
        raise BuildError(f"the library cannot be written or loaded ({error})") from None
    log.warning(f"the compiled kernels are not kept, and each run compiles them again ({reason})")
    return library


def load(folder: Path, key: str, compiler: str, deadline: float) -> ctypes.CDLL:
    """Load the folder's library, which is compiled if the folder has none with a valid seal."""
    path = folder / f"cpu-{key[:16]}.so"
    if not is_sealed(path, key):
        compile_to(path, key, compiler, deadline)
    return ctypes.CDLL(str(path))


def is_sealed(path: Path, key: str) -> bool:
    """Whether the file is whole, and made from this source by this compiler for this machine."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    length = hashlib.sha256().digest_size
    return content[-length:] == seal(content[:-length], key)


def seal(library: bytes, key: str) -> bytes:
    return hashlib.sha256(key.encode() + library).digest()


def kept() -> Path | None:
    """The user's own folder for libraries; None where it is not only the user's to write."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gacsnn"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = folder.stat()
    except (OSError, RuntimeError):
        return None
    return folder if there.st_uid == os.getuid() and not there.st_mode & 0o022 else None


def fingerprint(compiler: str, deadline: float) -> str:
    """Return a digest of everything that the library depends on.

    Machines with other processors may share the cache, and it may outlive a compiler.
    """
    _, version = run_until(deadline, [compiler, "--version"])
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").partition("\n\n")[0].splitlines() if info.exists() else []
    processor = [line for line in lines if line.partition("\t")[0] in PROCESSOR]
    parts = (SOURCE.read_text("utf-8"), *FLAGS, version, *processor, platform.machine(), *platform.libc_ver())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compile_to(path: Path, key: str, compiler: str, deadline: float) -> None:
    """Compile and seal beside `path`, then rename: another process never sees half of a library.

    Raises:
        BuildError: when the compiler fails, or its library cannot be loaded.
        OSError: when nothing can be written there.
    """
    handle, name = tempfile.mkstemp(prefix=path.stem, suffix=".so", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        code, said = run_until(deadline, [compiler, *FLAGS, "-o", name, str(SOURCE), "-lm"])
        if code:
            raise BuildError(f"{compiler} fails: {said or 'it says nothing'}")
        code, said = run_until(deadline, [sys.executable, "-I", "-S", "-c", TRIAL, name, *SYMBOLS])
        if code:
            raise BuildError(f"the library that {compiler} made cannot be loaded")
        with temporary.open("ab") as file:
            file.write(seal(temporary.read_bytes(), key))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def run_until(deadline: float, command: Sequence[str]) -> tuple[int, str]:
    """Run a command, and return its exit code and the first line that it says. End it, with its children, at the deadline.

    Raises:
        BuildError: when it cannot be started, or has not ended by then.
    """
    with tempfile.TemporaryFile() as output:  # a pipe would stay open for as long as a child lives
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise BuildError(f"{command[0]} cannot be run ({error.strerror})") from None
        try:
            code = process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise BuildError(f"{command[0]} has not ended after {LIMIT:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        said = output.read(4096).decode(errors="replace").strip().splitlines() or [""]
    return code, "".join(filter(str.isprintable, said[0]))
