"""The CPU's kernels as a shared library: compiled when they are first wanted, and kept for later runs."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

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

# Seconds that a compiler may take: it takes three.
LIMIT = 120


class BuildError(Exception):
    """Why there is no library, in a few words."""


@cache
def shared_library() -> ctypes.CDLL:
    """The library, from the cache or compiled.

    Raises:
        BuildError: when there is no compiler, or it fails.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise BuildError(f"no C compiler ({', '.join(COMPILERS)}) is there")
    name = f"cpu-{fingerprint(compiler)}.so"
    for folder in (kept(), None):
        try:
            if folder is not None:
                return load(folder, name, compiler)
            with tempfile.TemporaryDirectory(prefix="gacsnn-") as temporary:
                return load(Path(temporary), name, compiler)  # once it is loaded its file may go
        except OSError as error:  # a home that cannot be written; a file there that is no library
            reason = error
    raise BuildError(f"the library cannot be written or loaded ({reason})")


def load(folder: Path, name: str, compiler: str) -> ctypes.CDLL:
    path = folder / name
    if not path.exists():
        compile_to(path, compiler)
    return ctypes.CDLL(str(path))


def kept() -> Path | None:
    """The user's own folder for libraries; None where it is not only the user's to write."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gacsnn"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = folder.stat()
    except (OSError, RuntimeError):
        return None
    return folder if there.st_uid == os.getuid() and not there.st_mode & 0o022 else None


def fingerprint(compiler: str) -> str:
    """What the library depends on: a folder may be shared by machines with other processors, and outlive a compiler."""
    described = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    info = Path("/proc/cpuinfo")
    features = (
        next((line for line in info.read_text().splitlines() if line.startswith("flags")), "") if info.exists() else ""
    )
    parts = (SOURCE.read_text(), *FLAGS, described, features, platform.machine())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def compile_to(path: Path, compiler: str) -> None:
    """Compile beside `path`, then rename: another process never loads half of a library.

    Raises:
        BuildError: with the first line of what the compiler says.
        OSError: when nothing can be written there.
    """
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        done = subprocess.run(
            [compiler, *FLAGS, "-o", temporary, str(SOURCE), "-lm"],
            capture_output=True, text=True, timeout=LIMIT, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it says nothing"]
            raise BuildError(f"{compiler} fails: {said[0]}")
        Path(temporary).replace(path)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{compiler} has not ended after {LIMIT} s") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
