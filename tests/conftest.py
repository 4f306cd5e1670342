"""What the tests share: the program in this process and in one of its own, and folders of real JPEGs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that spin stall the tests and programs beside them

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# A run of the embedded default that takes about a second.
TINY = ("hardware=cpu", "model.width=0.05", "epochs=1", "limit_train=64", "limit_eval=32", "T=2")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Launch = Callable[..., Outcome]


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Launch:
    """The command line in this process, from an empty folder."""
    import launch as program

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "launch.py"), *arguments])
        capsys.readouterr()
        try:
            code = program.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The real command in a process of its own, its output in a pipe."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


@pytest.fixture
def jpegs(tmp_path: Path) -> Path:
    """Class folders of JPEGs that a network can tell apart: train (3 x 20) and val (3 x 5), of uneven sizes."""
    root = tmp_path / "images"
    generator = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 5)):
        for label, name in enumerate(("ant", "bee", "cat")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 120, (16 + index % 3, 20, 3), dtype=np.uint8)
                pixels[:, :, label] += 120
                Image.fromarray(pixels).save(folder / f"{index:02d}.jpg")
    return root
