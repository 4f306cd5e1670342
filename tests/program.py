"""The program as the tests use it: in this process, in one of its own, its config, and what a run leaves behind."""

import csv
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from gacsnn.config.messages import validate
from gacsnn.config.schema import Config
from gacsnn.sweep.plugin import register

ROOT = Path(__file__).parents[1]

# A run of the embedded default that takes about a second.
TINY = ("hardware=cpu", "model.width=0.05", "epochs=1", "limit_train=64", "limit_eval=32", "T=2")
FAITHFUL = (*TINY, "preset=faithful", "augmentation=cutmix", "augmentation.drawn_every=epoch", "epochs=3")

# A trial of half a second, a search of such trials, and where its study lies.
SMALL = ("hardware=cpu", "hardware.threads=1", "model.width=0.05", "limit_train=64", "limit_eval=32", "epochs=2")
SEARCH = ("sweeps=t_lr", "T=1,2", *SMALL)
FOLDER = Path("multirun") / "t_lr-digits-resnet8"

# A search of T alone, by trials of an epoch each, none of which is tested: for tests of what lies around the trials.
QUICK = (*SEARCH, "epochs=1", "optimizer.lr=0.002", "hydra.sweeper.test=none")

TIMINGS = {"seconds", "images_per_second"}

register()


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Launch = Callable[..., Outcome]  # the fixture `launch`


def refused(launch: Launch, folder: Path, *arguments: str) -> str:
    """The one line that the command line is refused with."""
    before = sorted(folder.rglob("*"))
    code, out, err = launch(*arguments)
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before, "something was written"
    return err.removeprefix("error: ").strip()


def start(folder: Path, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """The real command in a process of its own, its output in a pipe; `before` is what starts it."""
    return subprocess.Popen(
        [*before, sys.executable, str(ROOT / "launch.py"), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


def on_a_terminal(folder: Path, *arguments: str, columns: int = 120) -> str:
    """What the real command shows on a terminal of so many columns. It must succeed."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), *arguments], cwd=folder, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # which Linux raises when the other end is closed
        while block := os.read(leader, 65536):
            shown += block
    os.close(leader)
    assert process.wait() == 0
    return shown.decode()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Until the condition holds, which it must before the process ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"what was waited for did not happen: {process.communicate()[0]}")


def wait_for_epochs(run: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until the metrics of `count` epochs are written, and so the checkpoint of all but the last of them."""
    metrics = run / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and len(metrics.read_text().splitlines()) >= count, process)


def once_saved(patch: pytest.MonkeyPatch, run: Path, do: Callable[[], object]) -> None:
    """Have something done between two steps of a run in this process, when its first checkpoint is there."""
    from gacsnn.training.trainer import Trainer

    step, done = Trainer.step, []

    def watched(self: Trainer, *batch: Any) -> Any:
        if not done and (run / "checkpoints" / "last.pt").exists():
            done.append(do())
        return step(self, *batch)

    patch.setattr(Trainer, "step", watched)


def composed(*overrides: str) -> dict[str, Any]:
    """The values that Hydra makes of conf/ and these overrides."""
    with initialize_config_dir(str(ROOT / "conf")):
        values: Any = OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True)
    return values


@cache  # composing takes a tenth of a second; a config is frozen
def config(*overrides: str) -> Config:
    return validate(composed(*overrides))


def read_result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, timings aside."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pixels_of(path: Path) -> np.ndarray:
    """The pixels of a PNG that is whole."""
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))
