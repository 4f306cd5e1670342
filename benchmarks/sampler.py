"""Which TPE finds more with parallel workers: the plugin's (independent, no constant liar) or ours (multivariate, constant liar).

    python benchmarks/sampler.py [--workers 8] [--trials 64] [--seeds 40]

Workers are simulated: each asks for a point while the others' are still running, and they end in random order. Known
functions stand for training, so that the distance from the optimum can be said: `sweep` is like T and learning rate (the
best rate falls with T, top-1 rises with it), the others are usual test functions. Lower is better.
"""

import argparse
import itertools
import random
import statistics
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

optuna.logging.set_verbosity(optuna.logging.ERROR)

Point = Mapping[str, float]


def sweep(point: Point) -> float:
    """100 - top-1: a valley whose place in log lr depends on T."""
    T, lr = point["T"], np.log10(point["lr"])
    return float(4.0 / T + 3.0 * (lr + 2.0 + 0.15 * T) ** 2 + 0.4 * np.sin(9 * lr) + 0.4)


def lowest_of_sweep() -> float:
    return min(sweep({"T": T, "lr": lr}) for T in (1, 2, 4, 6) for lr in np.logspace(-4, -1, 10_001))


def branin(point: Point) -> float:
    x, y = point["x"], point["y"]
    return float(
        (y - 5.1 * x**2 / (4 * np.pi**2) + 5 * x / np.pi - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10
    )


def rosenbrock(point: Point) -> float:
    x = [point[f"x{index}"] for index in range(4)]
    return float(sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x)))


def hartmann(point: Point) -> float:
    """Hartmann's function of six dimensions."""
    A = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    P = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    x = np.array([point[f"x{index}"] for index in range(6)])
    return float(-np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-(A * (x - P) ** 2).sum(axis=1)))


def box(low: float, high: float, *names: str) -> dict[str, BaseDistribution]:
    return {name: FloatDistribution(low, high) for name in names}


Space = dict[str, BaseDistribution]
FUNCTIONS: dict[str, tuple[Callable[[Point], float], Space, float]] = {
    "sweep": (
        sweep,
        {"T": CategoricalDistribution([1, 2, 4, 6]), "lr": FloatDistribution(1e-4, 1e-1, log=True)},
        lowest_of_sweep(),
    ),
    "branin": (branin, {**box(-5, 10, "x"), **box(0, 15, "y")}, 0.397887),
    "rosenbrock4": (rosenbrock, box(-2, 2, "x0", "x1", "x2", "x3"), 0.0),
    "hartmann6": (hartmann, box(0, 1, *(f"x{index}" for index in range(6))), -3.32237),
}

SAMPLERS: dict[str, dict[str, bool]] = {
    "plugin": {"multivariate": False, "constant_liar": False},
    "ours": {"multivariate": True, "constant_liar": True},
}


def best(name: str, sampler: dict[str, bool], workers: int, trials: int, seed: int) -> float:
    """The best value that `workers` find in `trials` evaluations, above the function's minimum."""
    function, space, minimum = FUNCTIONS[name]
    order, study, running = random.Random(seed), optuna.create_study(), []
    for index in range(trials):
        study.sampler = optuna.samplers.TPESampler(seed=1000 * seed + index, **sampler)
        running.append(study.ask(space))
        if len(running) == workers:
            ended = running.pop(order.randrange(workers))
            study.tell(ended, function(ended.params))
    for ended in running:
        study.tell(ended, function(ended.params))
    return study.best_value - minimum


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=40)
    given = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    print(
        f"optuna {optuna.__version__}, {given.workers} workers, {given.trials} trials, {given.seeds} seeds; median [quartiles]"
    )
    print(f"{'function':<12} {'plugin':>28} {'ours':>28} {'ours wins':>10}")
    for name in FUNCTIONS:
        found = {
            kind: [best(name, options, given.workers, given.trials, seed) for seed in range(given.seeds)]
            for kind, options in SAMPLERS.items()
        }
        cells = []
        for values in found.values():
            low, middle, high = statistics.quantiles(values, n=4)
            cells.append(f"{middle:.4g} [{low:.3g}, {high:.3g}]")
        wins = sum(a < b for a, b in zip(found["ours"], found["plugin"], strict=True))
        print(f"{name:<12} {cells[0]:>28} {cells[1]:>28} {100 * wins / given.seeds:>8.0f} %")


if __name__ == "__main__":
    main()
