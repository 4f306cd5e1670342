"""What a sweep costs beside the runs themselves: one trial against one run alone, and two workers against one.

    python benchmarks/sweep.py [--trials 8] [--workers 2] [--epochs 12]

Trials of equal length on the CPU, one thread each: the default network on the digits, with as many seeds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAUNCH = str(Path(__file__).resolve().parents[1] / "launch.py")


def timed(folder: Path, *arguments: str) -> float:
    """Seconds that the command takes, from its start to its end."""
    begun = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, LAUNCH, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    common = ("hardware=cpu", "hardware.threads=1", f"epochs={given.epochs}")
    sweep = ("-m", "sweeps=seeds", "hydra.sweeper.reuse=false", *common)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        alone = timed(folder, *common)
        names = iter("abc")

        def seeds(count: int, workers: int) -> float:
            study = f"hydra.sweeper.study_name={next(names)}"
            return timed(folder, *sweep, f"seed=range({count})", study, f"hydra.sweeper.n_jobs={workers}")

        one, all_by_one, all_by_many = seeds(1, 1), seeds(given.trials, 1), seeds(given.trials, given.workers)
    trial = (all_by_one - one) / (given.trials - 1)
    print(f"one run alone, from start to end          {alone:7.1f} s")
    print(f"a sweep of that run                       {one:7.1f} s  ({one - alone:+.1f} s)")
    print(f"each further trial of the sweep           {trial:7.1f} s  ({trial - alone:+.1f} s)")
    print(f"{given.trials} trials by 1 worker                      {all_by_one:7.1f} s")
    print(f"{given.trials} trials by {given.workers} workers                     {all_by_many:7.1f} s")
    ideal = given.trials * trial / given.workers
    print(f"{given.workers} workers against (all trials' time / {given.workers})   {all_by_many / ideal:7.2f} x")


if __name__ == "__main__":
    main()
