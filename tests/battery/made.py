"""What the cases damage: two runs, a study and class folders of images, made once and copied for each case."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from battery.driver import forked
from PIL import Image
from program import FOLDER, SEARCH, SMALL

RUN = (*SMALL, "T=2", "save_every_minutes=null")
STUDY = str(FOLDER)
SWEEP = ("-m", *SEARCH, "hydra.sweeper.n_trials=2")
IMAGES = ("dataset=image_folder", "dataset.root=images", "dataset.size=16", "dataset.resize=16", "batch_size=8")
ON_IMAGES = (*IMAGES, "hardware=cpu", "hardware.threads=1", "hardware.workers=0", "model.width=0.05", "epochs=1", "T=2")


def write_images(root: Path) -> None:
    generator = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 3)):
        for name in ("ant", "bee"):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")


@cache
def made() -> Path:
    """The folder that is copied."""
    folder = Path(mkdtemp(prefix="battery-")) / "made"
    folder.mkdir()
    write_images(folder / "images")
    for arguments in ((*RUN, "output_dir=run"), (*RUN, "seed=1", "output_dir=other"), SWEEP):
        ended = forked(folder, arguments)
        assert ended.code == 0, ended.err
    return folder


def copy_to(folder: Path) -> None:
    shutil.copytree(made(), folder, dirs_exist_ok=True)


def remove_made() -> None:
    if made.cache_info().currsize:
        shutil.rmtree(made().parent)
