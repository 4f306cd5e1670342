"""Do the tests notice? Faults put into a copy of the program, one at a time, and the tests that should fail by each.

    python tests/mutants.py                     # all; nightly, or after the tests were changed
    python tests/mutants.py --list
    python tests/mutants.py --only 3,7,lease    # by number, or by a part of the name

The copy lies in a temporary folder: the checkout is never touched. First the tests that are named must pass there without a
fault, or nothing they say of one means anything. Then a line a fault: noticed, NOT NOTICED, or stale, where the text is no
longer in its file exactly once. The exit code is 0 where all were noticed, else 1.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mutations import FAULTS, Fault

ROOT = Path(__file__).parents[1]

# What a test needs of the program. conf/sweeps stays the link that it is.
COPIED = ("gacsnn", "conf", "sweeps", "tests", "docs", "launch.py", "setup.cfg", "pyproject.toml", "README.md")

# Seconds that the tests of one fault may take.
LIMIT = 180.0

# pytest's exit code where tests ran and some failed. Others say that it could not even begin: a name that is wrong, say.
FAILED = 1


def is_stale(fault: Fault, root: Path) -> bool:
    """Whether the text of a fault no longer stands in its file exactly once."""
    path = root / fault.file
    return not path.is_file() or path.read_text().count(fault.old) != 1


@contextmanager
def done_to(copy: Path, fault: Fault) -> Iterator[None]:
    """The copy with this fault, while the context lasts."""
    path = copy / fault.file
    right = path.read_text()
    path.write_text(right.replace(fault.old, fault.new))
    try:
        yield
    finally:
        path.write_text(right)


# What Python compiles with a fault is not kept: only what it compiled before, of files older than any fault.
UNKEPT = {"PYTHONDONTWRITEBYTECODE": "1"}


def tested(copy: Path, tests: Sequence[str], limit: float, variables: Mapping[str, str]) -> tuple[int | None, str]:
    """What pytest's exit code is, and what it says; None where it had to be stopped."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "--tb=line", "-p", "no:cacheprovider", *tests]
    said = copy.with_name("said")
    with said.open("w") as file:  # a pipe would be held open by whatever a test left behind
        process = subprocess.Popen(
            command,
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(process)
    return code, said.read_text()


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a session that was started for one command."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def verdict(copy: Path, fault: Fault) -> str:
    if is_stale(fault, copy):
        return "stale"
    with done_to(copy, fault):
        code, said = tested(copy, fault.tests, LIMIT, UNKEPT)
    last = said.strip().rpartition("\n")[2]
    # A process that a library's own threads bring down on its way out has said before what came of its tests.
    told = code is not None and code < 0 and re.match(r"\d+ failed", last)
    if code == FAILED or told or (code is None and fault.hangs):
        return "noticed"
    if code == 0:
        return "NOT NOTICED"
    reason = f"not ended after {LIMIT:.0f} s" if code is None else f"pytest's exit code {code}: {last}"
    return f"NOT NOTICED ({reason})"


def chosen(only: str | None) -> dict[int, Fault]:
    """The faults that `--only` names, by their numbers; all without it."""
    numbered = dict(enumerate(FAULTS, start=1))
    if only is None:
        return numbered
    wanted = only.split(",")
    return {
        number: fault
        for number, fault in numbered.items()
        if any(str(number) == one or (not one.isdecimal() and one in fault.name) for one in wanted)
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Put faults into a copy of the program, and see that tests notice.")
    parser.add_argument("--list", action="store_true", help="show the faults, and run nothing")
    parser.add_argument("--only", help="numbers, or parts of names, with commas between them")
    options = parser.parse_args(arguments)
    faults = chosen(options.only)
    if options.list or not faults:
        print(
            *[f"{number:3} {fault.name}: {fault.file}" for number, fault in faults.items()] or ["no such fault"],
            sep="\n",
        )
        return 0 if faults else 1
    with tempfile.TemporaryDirectory(prefix="gacsnn-mutants-") as folder:
        return judged(copied(Path(folder) / "copy"), faults)


def copied(to: Path) -> Path:
    """The program with its tests, as they are in the checkout."""
    to.mkdir()
    for name in COPIED:
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, to)
        else:
            shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def judged(copy: Path, faults: Mapping[int, Fault]) -> int:
    """Say of each fault what came of it. Returns the exit code."""
    begun = time.monotonic()
    every = list(dict.fromkeys(test for fault in faults.values() for test in fault.tests))
    code, said = tested(copy, every, LIMIT * len(faults), {})
    if code != 0:
        print(
            f"{said}\nwithout a fault these tests do not pass (pytest's exit code {code}): they can say nothing of one"
        )
        return 1
    print(f"without a fault the tests pass, {time.monotonic() - begun:.0f} s", flush=True)
    found: Counter[str] = Counter()
    for number, fault in faults.items():
        begun = time.monotonic()
        came_out = verdict(copy, fault)
        found[came_out] += 1
        print(f"{number:3} {fault.name}: {came_out}, {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{found['noticed']} of {len(faults)} faults were noticed")
    return 0 if found["noticed"] == len(faults) else 1


if __name__ == "__main__":
    sys.exit(main())
