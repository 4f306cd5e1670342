"""The trial by fire: runs and sweeps that are killed, and commands that are sent signals, at seeded moments.

    python benchmarks/faults.py [--seed 0] [--kills 30] [--alone 10] [--storms 2] [--trials 30] [--storm-kills 30]
                                [--signals 100] [--only runs|sweeps|signals]

Runs by two processes are killed at a step, a save, an epoch's end, in validation and in the test, all of a run (`--kills`) or
one of its two processes (`--alone`), and resumed each time; in the end they must be the undisturbed run, bit for bit. Sweeps
by two workers lose a worker, the supervisor or all, and are started again. Signals come from a command's very start to its
end; where it had begun, it must go on. Printed is a report in Markdown; what failed is named with its seed and moment, and the
exit code is then 1. It needs the packages of the tests, and no GPU.
"""

import argparse
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "tests")]

import storms  # noqa: E402
from watched import kill, marked, new_mark  # noqa: E402

PARTS = ("runs", "sweeps", "signals")


class Report:
    """Tables in Markdown as they come, and what failed."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.begun = time.monotonic()

    def attempt(self, what: str, do: Callable[..., object], *arguments: object) -> bool:
        """Do it in an empty folder; whether it went well. What is wrong is kept, and not raised."""
        print(f"{time.monotonic() - self.begun:.0f} s: {what}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            try:
                do(Path(folder), *arguments)
            except Exception as error:  # whatever it is, the others are still to be tried
                self.failures.append(f"{what}: {type(error).__name__}: {error}")
                print(f"FAILED {self.failures[-1]}", file=sys.stderr, flush=True)
                return False
        return True

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        print(f"\n## {title}\n")
        for row in (columns, ["---"] * len(columns), *rows):
            print(f"| {' | '.join(map(str, row))} |")
        print(flush=True)


def runs(report: Report, seed: int, kills: int, alone: int) -> None:
    """Runs that are killed once at each aim; the test comes last, when a run has nothing else left to do."""
    begun = time.monotonic()
    hits: Counter[tuple[str, str]] = Counter()
    chains = ended = 0

    def chain(folder: Path, plan: list[tuple[str, str]], generator: random.Random) -> None:
        for each in storms.killed_run(folder, Path(whole) / "whole", plan, generator):
            hits[each.victim, each.phase] += 1

    with tempfile.TemporaryDirectory(prefix="faults-") as whole:
        storms.undisturbed(Path(whole), *storms.RUN, "output_dir=whole")
        for victim, count in (("all", kills), ("one", alone)):
            for first in range(0, count, len(storms.AIMS)):
                generator = random.Random(f"{seed}-{victim}-{first}")
                aims = [aim for aim in storms.AIMS if aim != "test"]
                generator.shuffle(aims)
                plan = [(victim, aim) for aim in (*aims, "test")[: count - first]]
                chains += 1
                ended += report.attempt(f"run seed={seed} {first}, killed: {plan}", chain, plan, generator)
    phases = [phase for phase in (*storms.AIMS, "end", "start") if hits["all", phase] or hits["one", phase]]
    report.table(
        "Kills of runs by two processes",
        ("the kill hit", "both and what started them", "one of the two"),
        [(phase, hits["all", phase], hits["one", phase]) for phase in phases],
    )
    print(
        f"{hits.total()} kills of {chains} runs. {ended} ended with the weights, metrics and result of the undisturbed run, bit "
        f"for bit; {chains - ended} did not. {time.monotonic() - begun:.0f} s."
    )


def sweeps(report: Report, seed: int, count: int, trials: int, kills: int) -> None:
    rows: list[tuple[object, ...]] = []

    def storm(folder: Path, number: int) -> None:
        begun = time.monotonic()
        generator = random.Random(f"{seed}-storm-{number}")
        victims, study = storms.storm(folder, trials, kills, generator)
        same = storms.check_retried(folder, study, 3, generator)
        retries = sum("retry_of" in trial.user_attrs for trial in study.trials)
        killed = (victims[victim] for victim in ("worker", "supervisor", "all"))
        rows.append((number + 1, *killed, trials, retries, same, f"{time.monotonic() - begun:.0f} s"))

    for number in range(count):
        report.attempt(f"storm seed={seed} {number}", storm, number)
    report.table(
        "Kills of sweeps by two workers",
        ("storm", "worker killed", "supervisor", "all", "trials complete", "retries", "compared: same", "time"),
        rows,
    )


def signals(report: Report, seed: int, count: int) -> None:
    """Each command and each signal in turn; moments from a command's start to its end, more of them early."""
    begun = time.monotonic()
    ways = [(number, times) for number in storms.SIGNALS for times in (1, 2) if (number, times) != (signal.SIGUSR1, 2)]
    cases = [(kind, (number,) * times) for number, times in ways for kind in storms.COMMANDS]
    where: Counter[tuple[str, str]] = Counter()
    lasts: dict[str, float] = {}
    well = 0

    def one(folder: Path, kind: str, numbers: tuple[signal.Signals, ...], at: float, gap: float) -> None:
        where[kind, storms.signalled(folder, kind, numbers, at, gap)] += 1

    for kind, arguments in storms.COMMANDS.items():
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            started = time.monotonic()
            storms.undisturbed(Path(folder), *arguments)
            lasts[kind] = storms.AFTER_LOADERS if kind == "loaders" else time.monotonic() - started
    for index in range(count):
        kind, numbers = cases[index % len(cases)]
        generator = random.Random(f"{seed}-signal-{index}")
        at, gap = lasts[kind] * generator.random() ** 2, generator.uniform(0, 0.3)
        names = " ".join(number.name for number in numbers)
        what = f"signal seed={seed} {index}: {names} to a {kind} after {at:.3f} s (gap {gap:.3f} s)"
        well += report.attempt(what, one, kind, numbers, at, gap)
    report.table(
        "Signals",
        ("the signal came", "one process", "with two loaders", "two processes", "a sweep, two workers"),
        [(moment, *(where[kind, moment] for kind in storms.COMMANDS)) for moment in storms.MOMENTS],
    )
    print(
        f"{count} times TERM, INT, HUP, USR1, or one of the first three twice. {well} times the command ended, left no process "
        f"and went on later; {count - well} times not. {time.monotonic() - begun:.0f} s."
    )


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=30, help="of runs, all processes at once")
    parser.add_argument("--alone", type=int, default=10, help="of one process of a run")
    parser.add_argument("--storms", type=int, default=2)
    parser.add_argument("--trials", type=int, default=30, help="of a storm")
    parser.add_argument("--storm-kills", type=int, default=30)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    report = Report()
    print(f"# Trial by fire\n\nseed {given.seed}; {len(os.sched_getaffinity(0))} cores, {cpu()}", flush=True)
    parts = (given.only,) if given.only else PARTS
    name, _, value = ours = new_mark("GACSNN_FAULTS_BY").partition("=")
    os.environ[name] = value
    try:
        if "runs" in parts:
            runs(report, given.seed, given.kills, given.alone)
        if "sweeps" in parts:
            sweeps(report, given.seed, given.storms, given.trials, given.storm_kills)
        if "signals" in parts:
            signals(report, given.seed, given.signals)
    finally:
        kill(marked("".join(ours)))  # what was at work, when this is interrupted
    print(f"\nfailures: {len(report.failures)}")
    for failure in report.failures:
        print(f"\n    {failure.splitlines()[0]}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
