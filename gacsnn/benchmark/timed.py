"""Paths that do the same, timed side by side: a round has one step of each, so that what else the machine does falls on all."""

import time
from collections.abc import Callable, Mapping

import torch

from gacsnn.runtime.console import Progress

Work = Callable[[], object]

# Rounds that are not counted: caches fill, memory is taken, libraries choose.
WARM = 2


def seconds(
    paths: Mapping[str, Work], rounds: int, images: int, device: torch.device, description: str
) -> dict[str, list[float]]:
    """The times of each, round by round, in seconds, for a batch of so many images."""
    taken: dict[str, list[float]] = {name: [] for name in paths}
    with Progress(description, (WARM + rounds) * len(paths) * images) as progress:
        for number in range(WARM + rounds):
            for name, work in paths.items():
                wait(device)
                begun = time.perf_counter()
                work()
                wait(device)
                if number >= WARM:
                    taken[name].append(time.perf_counter() - begun)
                progress.advance(images)
    return taken


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
