"""What checkpoints cost training: the time that a save takes from it, written in the background and at once.

    python benchmarks/saving.py [--rounds 8] [--steps 8] [--every 4] [--batch 2] [--threads 1]

resnet18 of width 1 with SGD on synthetic images, on the CPU. Rounds without saves, with saves in the background and with saves
that training waits for take turns, so that what else the machine does falls on all alike. Printed are the median and the
quartiles over rounds of what a save adds, and its share of the ten minutes between two saves (`save_every_minutes`). The CPU time
is that of all threads: what a save costs training at most, where no core is free for the writer.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gacsnn.config.messages import validate
from gacsnn.runtime.run_dir import make_directory
from gacsnn.tasks.experiment import prepare
from gacsnn.training.saving import Saver
from gacsnn.training.trainer import Trainer

CONF = Path(__file__).resolve().parents[1] / "conf"


def prepared(
    batch: int, threads: int, folder: str
) -> tuple[Trainer, Iterator[tuple[torch.Tensor, torch.Tensor]], Path]:
    """A network in training, its batches, and its run directory."""
    overrides = [
        *("model=resnet18", "model.width=1", "dataset=synthetic", "dataset.size=16", "optimizer=sgd", "T=2"),
        *("hardware=cpu", f"hardware.threads={threads}", f"batch_size={batch}", f"output_dir={folder}/run"),
    ]
    with initialize_config_dir(str(CONF)):
        config = validate(OmegaConf.to_container(compose("config", overrides=overrides), resolve=True))
    experiment = prepare(config)
    trainer = Trainer(experiment.model, config, experiment.machine, experiment.normalise, len(experiment.splits.train))

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            with experiment.loader(experiment.splits.train, shuffle=True) as loader:
                for images, labels in loader:
                    if len(labels) == batch:
                        yield experiment.normalise(images), labels

    return trainer, batches(), Path(config.output_dir or "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--every", type=int, default=4, help="steps between saves")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trainer, batches, path = prepared(given.batch, given.threads, folder)
        run_dir = make_directory(str(path), "run")
        trainer.model.train()
        held: list[float] = []

        def steps(save: Callable[[], None] | None) -> None:
            """A round."""
            for number in range(1, given.steps + 1):
                trainer.step(*next(batches))
                if save is not None and number % given.every == 0:
                    before = time.perf_counter()
                    save()
                    held.append(time.perf_counter() - before)

        def in_background() -> None:
            with Saver(run_dir, keep=2) as saver:
                steps(lambda: saver.save(trainer.content([])))

        def at_once() -> None:
            with Saver(run_dir, keep=2) as saver:

                def save() -> None:
                    saver.save(trainer.content([]))
                    saver.wait()

                steps(save)

        steps(None)  # the first steps are slower
        rounds: dict[str, Callable[[], None]] = {
            "none": lambda: steps(None), "background": in_background, "at once": at_once,
        }  # fmt: skip
        seconds: dict[str, list[float]] = {kind: [] for kind in rounds}
        cpu: dict[str, list[float]] = {kind: [] for kind in rounds}
        copies: list[float] = []
        for _ in range(given.rounds):
            for kind, run in rounds.items():
                held.clear()
                begun, begun_cpu = time.perf_counter(), time.process_time()
                run()
                seconds[kind].append(time.perf_counter() - begun)
                cpu[kind].append(time.process_time() - begun_cpu)
                copies += held if kind == "background" else []
        size = run_dir.last.stat().st_size / 1e6
    saves = given.steps // given.every
    alone = statistics.median(seconds["none"])
    print(
        f"{size:.0f} MB a checkpoint; {1000 * alone / given.steps:.0f} ms a step, {saves} saves in {given.steps} steps"
    )
    print(f"a save returns after {1000 * statistics.median(copies):.0f} ms (the copy, and the one before if it lasts)")
    for kind in ("background", "at once"):
        for name, times in (("time", seconds), ("CPU time", cpu)):
            added = [(saving - without) / saves for saving, without in zip(times[kind], times["none"], strict=True)]
            low, middle, high = statistics.quantiles(added, n=4)
            print(
                f"a save {kind:<10} adds {1000 * middle:7.1f} ms of {name:<8} [{1000 * low:.1f}, {1000 * high:.1f}], "
                f"{100 * middle / 600:.4f} % of training at save_every_minutes=10"
            )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        main()
