"""A hostile case and what README promises for it, whatever the case: one line, the exit code, nothing written or lost.

Most cases run in a fork of this process, which has imported torch already; those that are about the environment or about
where the output goes run the real command in a shell.
"""

import hashlib
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from program import ROOT

Prepare = Callable[[Path], object]

# Seconds within which a command has ended: a run of the battery takes one or two.
LIMIT = 60.0


class Case(NamedTuple):
    """A command line, and how it ends.

    Attributes:
        arguments: of launch.py.
        said: for exit codes 1 and 2, what the one line holds; for 0, what is said somewhere.
        code: the exit code.
        prepare: what is done first to a folder that holds `run/`, `other/`, `images/` and a study (`made.py`).
        environment: variables that are set, or with None removed.
        shell: what stands behind the command in a shell, such as `>&-`.
        before: what stands before it.
    """

    arguments: tuple[str, ...]
    said: str = ""
    code: int = 2
    prepare: Prepare | None = None
    environment: Mapping[str, str | None] | None = None
    shell: str | None = None
    before: str = ""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def contents(folder: Path) -> dict[str, str]:
    """What lies in a folder, by path: the hash of a file, the kind of anything else."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            kind = path.lstat().st_mode
            found[str(path.relative_to(folder))] = (
                hashlib.md5(path.read_bytes()).hexdigest() if stat.S_ISREG(kind) else oct(stat.S_IFMT(kind))
            )
    return found


def forked(folder: Path, arguments: tuple[str, ...]) -> Ended:
    """The program in a fork of this process, in a session of its own."""
    said = folder.with_name(folder.name + "-said")
    said.mkdir()
    # What is written to standard output by this process and has not gone out yet is not the child's to write again.
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        code = 99
        try:
            os.setsid()
            os.chdir(folder)
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(said / name, os.O_WRONLY | os.O_CREAT), number)
            sys.stdout, sys.stderr = (
                os.fdopen(number, "w", buffering=1, closefd=False, errors=errors)
                for number, errors in ((1, "strict"), (2, "backslashreplace"))  # as Python's own
            )
            sys.argv = [str(ROOT / "launch.py"), *arguments]
            code = program_code()
        except BaseException:  # whatever it is, it is not to go on in pytest
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            os._exit(code & 255)
    deadline = time.monotonic() + LIMIT
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"it did not end within {LIMIT:.0f} s")
        time.sleep(0.01)
    check_alone(pid)
    texts = [(said / name).read_text(errors="replace") for name in ("out", "err")]
    shutil.rmtree(said)
    return Ended(os.waitstatus_to_exitcode(status), *texts)


def program_code() -> int:
    import launch
    from gacsnn.runtime import signals

    signals._requests.number = None
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        return launch.main()
    except SystemExit as stop:
        return int(stop.code or 0)


def check_alone(session: int) -> None:
    """No process of that session is left."""
    with suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
        raise AssertionError("a process was left behind")


def in_shell(folder: Path, case: Case) -> Ended:
    """The real command, from bash, whose exit code is the command's own wherever its output goes."""
    command = " ".join([sys.executable, str(ROOT / "launch.py"), *map(shlex.quote, case.arguments)])
    environment = {
        name: value for name, value in os.environ.items() if (case.environment or {}).get(name, "") is not None
    }
    environment |= {name: value for name, value in (case.environment or {}).items() if value is not None}
    script = f"{case.before or ':'}\n{command} {case.shell or ''}\nexit ${{PIPESTATUS[0]}}"
    process = subprocess.Popen(
        ["/bin/bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"it did not end within {LIMIT:.0f} s") from None
    check_alone(process.pid)
    return Ended(process.returncode, out, err)


def check(case: Case, folder: Path) -> None:
    """Run a case in its folder, which is prepared here, and hold it against the promise."""
    if case.prepare is not None:
        case.prepare(folder)
    before = contents(folder)
    real = case.environment is not None or case.shell is not None or case.before
    code, out, err = in_shell(folder, case) if real else forked(folder, case.arguments)
    told = f"exit code {code}\n{out}\n{err}"
    assert "Traceback" not in out + err, told
    assert code == case.code, told
    assert not (folder / "code was run").exists(), "the code inside was run"
    assert "Warning:" not in err, told
    if code:
        assert err.startswith("error: "), told
        assert err.count("\n") == 1, told
        assert case.said in err, told
    else:
        assert case.said in out + err, told
    if code == 2:
        assert out == "" or all(line.startswith("warning: ") for line in out.splitlines()), told
        after = contents(folder)
        assert after == before, sorted(before.items() ^ after.items())
