"""What the tests share as fixtures: the program in this process, folders of real JPEGs, the golden cases."""

import gc
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that spin stall the tests and programs beside them

import numpy as np
import pytest
from PIL import Image

# Helpers assert, too; what they compare is to be seen when they fail.
pytest.register_assert_rewrite("program", "studies", "networks", "published", "storms", "watched")

from databases import Server  # noqa: E402
from program import ROOT, TINY, Launch, Outcome  # noqa: E402
from storms import must_succeed  # noqa: E402

from gacsnn.runtime import signals  # noqa: E402

if TYPE_CHECKING:
    from fidelity import Case


def pytest_collection_finish() -> None:
    """What is imported by now lives to the end: the collections that follow, one a trial among them, need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_asked() -> Iterator[None]:
    """A signal to one test, heard by the handlers that an earlier one left, asks no later test to stop."""
    signals._requests.number = None
    yield
    signals._requests.number = None


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


@pytest.fixture(scope="session")
def tiny_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    must_succeed(folder, *TINY, "output_dir=run")
    return folder / "run"


@pytest.fixture
def tiny(tiny_made: Path, tmp_path: Path) -> Path:
    """What `launch(*TINY, "output_dir=run")` leaves behind, for tests of what comes after it: trained once, copied for each."""
    return shutil.copytree(tiny_made, tmp_path / "run")


@pytest.fixture
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of Debian's packages on loopback, for this test alone."""
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.home)


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


@pytest.fixture(scope="module")
def cases() -> Mapping[str, "Case"]:
    """The golden cases that tests take for published checkpoints, made once a file."""
    from fidelity import Case
    from published import CIFAR4, CIFAR6, DIRECT, IMAGENET

    return {tag: Case(tag) for tag in (CIFAR4, CIFAR6, DIRECT, IMAGENET)}
