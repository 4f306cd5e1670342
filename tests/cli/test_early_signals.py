"""Signals before training begins, and when all is done: as quiet, and as quick, as those between two steps."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from program import ROOT, TINY, Launch, start, wait_for
from watched import children, finished, new_mark

# The program, which sends itself signals as it imports a module for the first time.
AS_IT_IMPORTS = """
import importlib.abc, os, runpy, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            sys.meta_path.remove(self)
            for number in numbers:
                os.kill(os.getpid(), number)

program, module, numbers = sys.argv[1], sys.argv[2], [int(number) for number in sys.argv[3].split(",")]
sys.argv = [program, *sys.argv[4:]]
sys.meta_path.insert(0, Finder())
runpy.run_path(program, run_name="__main__")
"""

# The program, which says as it ends whether torch was imported to the end.
WITH_TORCH = """
import atexit
atexit.register(lambda: print(hasattr(sys.modules.get("torch"), "compile")))
"""

# The program, in which a library catches what the signal's handler raises, and makes an error of its own of it.
AS_AN_ERROR = AS_IT_IMPORTS.replace(
    "            for number in numbers:\n",
    """            from hydra.errors import HydraException
            from contextlib import suppress
            with suppress(BaseException):
                os.kill(os.getpid(), numbers[0])
            raise HydraException("")
            for number in numbers:
""",
)

# The program, in which each loader's worker sends signals to itself and to its parent as it starts.
AS_LOADERS_START = """
import os, runpy, sys

program, numbers = sys.argv[1], [int(number) for number in sys.argv[2].split(",")]
parent = os.getpid()

def hit():
    for pid in (parent, os.getpid()):
        for number in numbers:
            os.kill(pid, number)

os.register_at_fork(after_in_child=hit)
sys.argv = [program, *sys.argv[3:]]
runpy.run_path(program, run_name="__main__")
"""

# The program, which sends itself a signal as Python ends: as exit functions are called, or as Python takes itself apart.
AS_IT_ENDS = """
import atexit, os, runpy, sys

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=int(sys.argv[2])):
        kill(pid, number)

program, number, when = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.argv = [program, *sys.argv[4:]]
if when == "taken apart":
    last = Last()
else:
    sys.path.insert(0, os.path.dirname(program))
    import launch
    main = launch.main
    launch.main = lambda: atexit.register(os.kill, os.getpid(), number) and main()
    sys.exit(launch.program())
runpy.run_path(program, run_name="__main__")
"""

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 99}


def run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, str(ROOT / "launch.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("module", ["gacsnn.runtime.signals", "hydra"])
def test_a_signal_while_the_program_is_imported_ends_it_quietly(
    module: str, number: signal.Signals, tmp_path: Path
) -> None:
    done = run(tmp_path, AS_IT_IMPORTS, module, str(int(number)), *TINY)
    assert (done.returncode, done.stdout, done.stderr) == (CODES[number], "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["gacsnn.runtime.signals", "hydra"])
def test_two_at_once_are_as_quiet(module: str, tmp_path: Path) -> None:
    done = run(tmp_path, AS_IT_IMPORTS, module, "2,2", *TINY)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_signal_while_torch_is_imported_waits_for_its_end(tmp_path: Path) -> None:
    """Found by benchmarks/faults.py: raised within torch's import, C++ made an abort of it (exit code -6)."""
    done = run(
        tmp_path, AS_IT_IMPORTS.replace("program, module", f"{WITH_TORCH}\nprogram, module", 1), "torch", "15", *TINY
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "True\n", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["hydra._internal.utils", "gacsnn.run"])
def test_what_a_library_makes_of_a_signal_is_no_error_of_the_users(module: str, tmp_path: Path) -> None:
    """Found by benchmarks/faults.py: exit code 2, and `error: ` without a word."""
    done = run(tmp_path, AS_AN_ERROR, module, str(int(signal.SIGTERM)), *TINY)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("numbers", ["2,2", pytest.param("15", marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", ["train", pytest.param("evaluate", marks=pytest.mark.slow)])
def test_signals_while_loaders_start_end_the_program_and_them(
    task: str, numbers: str, launch: Launch, tmp_path: Path
) -> None:
    """They hung it: a loader's worker of which the loader did not know yet was waited for at the end, and ignored signals."""
    if task == "evaluate":
        assert launch(*TINY, "output_dir=done").code == 0
    options = TINY if task == "train" else ("task=evaluate", "checkpoint=done/checkpoints/best.pt", "hardware=cpu")
    mark = new_mark()
    command = ("env", mark, sys.executable, "-c", AS_LOADERS_START, str(ROOT / "launch.py"), numbers)
    process = subprocess.Popen(
        [*command, *options, "hardware.workers=2", "output_dir=run"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    said = finished(process, mark, 60)
    assert process.returncode == CODES[signal.Signals(int(numbers.split(",")[0]))], said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert not (tmp_path / "run" / "result.json").exists()


# Those of a terminal and of a scheduler; the others go the same way.
SOME = [
    number if number in (signal.SIGINT, signal.SIGTERM) else pytest.param(number, marks=pytest.mark.slow)
    for number in CODES
]


@pytest.mark.parametrize("number", SOME)
def test_a_signal_while_exit_functions_are_called_ends_them(number: signal.Signals, tmp_path: Path) -> None:
    done = run(tmp_path, AS_IT_ENDS, str(int(number)), "exit functions", "--help")
    assert (done.returncode, done.stderr) == (CODES[number], "")


@pytest.mark.parametrize("number", SOME)
def test_one_while_python_takes_itself_apart_changes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    done = run(tmp_path, AS_IT_ENDS, str(int(number)), "taken apart", "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_processes_of_a_run_that_are_still_beginning_hear_it_too(tmp_path: Path) -> None:
    mark = new_mark()
    process = start(tmp_path, *TINY, "hardware.processes=2", "output_dir=run", before=("env", mark))
    wait_for(lambda: len(children(process.pid)) == 2, process)
    process.send_signal(signal.SIGINT)
    assert finished(process, mark) == ""
    assert process.returncode == 130
