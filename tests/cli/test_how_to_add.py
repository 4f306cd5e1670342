"""The how-tos of docs/CONTRIBUTING.md, done for real in a copy of the program: the files that each names are enough."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from program import ROOT, TINY


class HowTo(NamedTuple):
    """What is added: its group and name, whole files, and by file what is put before a text that is there once."""

    group: str
    name: str
    files: dict[str, str]
    rows: dict[str, dict[str, str]]


STRIPES = """import torch

from gacsnn.config.schema import Stripes
from gacsnn.data.images import Images
from gacsnn.data.splits import Splits, held_out, split_training


def load(options: Stripes) -> Splits:
    labels = torch.arange(60) % 2
    upright = (torch.arange(8) % 2 * 255).to(torch.uint8).expand(3, 8, 8)
    everything = Images(torch.stack([upright, upright.mT])[labels], labels)
    classes = ["upright", "level"]
    kept, test = held_out(labels, 0.2, options.split_seed, "the held-out fifth", classes)
    return split_training(everything.subset(kept), everything.subset(test), classes, options, 8)
"""
STRIPES_YAML = """{name: stripes, layout: cifar, validation: 0.2, split_seed: 0, mean: null, std: null,
augment: {crop_padding: 0, flip: false, rotation: 0.0, resized_crop: false, auto_augment: none}}
"""
FADING = '''class Fading(Encoder):
    """The stem's current, halved from one step to the next."""

    static = True

    def __init__(self, stem: nn.Module, channels: int, T: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__(stem, channels, T, neuron)

    def forward(self, images: Tensor) -> Tensor:
        current = self.stem(images)
        return torch.stack([current / 2**step for step in range(self.T)])


'''
COUNT = """from collections.abc import Collection

from gacsnn.config.schema import Config
from gacsnn.runtime.console import log
from gacsnn.runtime.run_dir import OnEpochEnd, Result
from gacsnn.tasks.experiment import parameter_count, prepare


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    params = parameter_count(prepare(config).model)
    log.info(f"{params} parameters")
    return {"params": params}
"""
TWO_SEEDS = """# @package _global_
defaults:
  - override /hydra/sweeper: study
  - override /hydra/sweeper/sampler: grid
hydra:
  sweeper: {study_name: two_seeds, n_trials: 2, params: {seed: "choice(0, 1)"}}
  sweep: {dir: "multirun/${hydra.sweeper.study_name}"}
"""
SCHEMA = "gacsnn/config/schema.py"

# Those that have a section of their own; `cifar100` takes that of `cifar10`.
DATASETS = [path for path in sorted((ROOT / "conf" / "dataset").glob("*.yaml")) if "\naugment:" in path.read_text()]

HOW_TOS = {
    "a data set": HowTo(
        "dataset",
        "stripes",
        {"gacsnn/data/stripes.py": STRIPES, "conf/dataset/stripes.yaml": STRIPES_YAML},
        {
            "gacsnn/data/__init__.py": {"synthetic\n": "stripes, ", '    "digits":': '    "stripes": stripes.load,\n'},
            SCHEMA: {
                "AnyDataset = ": 'class Stripes(Dataset[Literal["stripes"]]):\n    pass\n\n\n',
                "Synthetic\n": "Stripes | ",
            },
        },
    ),
    "a network": HowTo(
        "model",
        "resnet4",
        {"conf/model/resnet4.yaml": "defaults:\n  - resnet18\n  - _self_\nname: resnet4\n"},
        {
            "gacsnn/networks.py": {
                '            "resnet8": Network(stages': (
                    '            "resnet4": Network(stages((64, 1, 2)), stem="conv3"),\n'
                )
            },
            SCHEMA: {'"max_resnet18"': '"resnet4", '},
        },
    ),
    "an encoder": HowTo(
        "encoder",
        "fading",
        {"conf/encoder/fading.yaml": "name: fading\n"},
        {
            "gacsnn/encoders.py": {
                "ENCODERS: ": FADING,
                '    "gac": GAC,': '    "fading": Fading,\n',
            },
            SCHEMA: {'"poisson"': '"fading", '},
        },
    ),
    "a task": HowTo(
        "task",
        "count",
        {"gacsnn/tasks/count.py": COUNT, "conf/task/count.yaml": "name: count\n"},
        {
            "gacsnn/run.py": {'    "train":': '    "count": "gacsnn.tasks.count",\n'},
            SCHEMA: {
                "class Config(": 'class CountParameters(Options):\n    name: Literal["count"]\n\n\n',
                "Train | ": "CountParameters | ",
            },
        },
    ),
    "an augmentation of each image": HowTo(
        "dataset.augment",
        "grey",
        {},
        {
            SCHEMA: {
                '    auto_augment: Literal["none"': '    grey: bool = option("take the colours away", default=False)\n',
            },
            **{str(path.relative_to(ROOT)): {"  auto_augment": "  grey: false\n"} for path in DATASETS},
            "gacsnn/data/transforms.py": {
                "    if augment.rotation:": "    if augment.grey:\n        steps.append(v2.Grayscale(3))\n",
            },
        },
    ),
    "a sweep": HowTo("sweeps", "two_seeds", {"sweeps/two_seeds.yaml": TWO_SEEDS}, {}),
}


def add(how: HowTo, folder: Path) -> None:
    """Put a copy of the program into the folder, and the new thing into the copy."""
    for name in ("conf", "sweeps", "gacsnn"):  # conf/sweeps stays the link that it is
        shutil.copytree(ROOT / name, folder / name, symlinks=True)  # what is compiled, too: it is of the files' times
    shutil.copy(ROOT / "launch.py", folder)
    for file, content in how.files.items():
        assert not (folder / file).exists()
        (folder / file).write_text(content)
    for file, rows in how.rows.items():
        text = (folder / file).read_text()
        for place, row in rows.items():
            assert text.count(place) == 1, f"{file}: {place}"
            text = text.replace(place, row + place)
        (folder / file).write_text(text)


def run(folder: Path, *arguments: str) -> str:
    """What the copy's own program prints; it must succeed."""
    command = [sys.executable, "launch.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("title", HOW_TOS)
def test_it_names_these_files_and_no_other(title: str) -> None:
    how = HOW_TOS[title]
    section = (ROOT / "docs" / "CONTRIBUTING.md").read_text().partition(f"### Add {title}\n")[2].partition("\n### ")[0]
    named = [name.replace("NAME", how.name) for name in re.findall(r"^\d\. `(\S+)`", section, re.MULTILINE)]
    if "conf/dataset/*.yaml" in named:
        named.remove("conf/dataset/*.yaml")
        named += [str(path.relative_to(ROOT)) for path in DATASETS]
    assert sorted(named) == sorted([*how.files, *how.rows])


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=() if title == "an encoder" else pytest.mark.slow) for title in HOW_TOS]
)
def test_they_are_enough(title: str, tmp_path: Path) -> None:
    how = HOW_TOS[title]
    add(how, tmp_path)
    stands = rf"^  {how.group}\.{how.name} " if how.group == "dataset.augment" else rf"^{how.group}: .*\b{how.name}\b"
    assert re.search(stands, run(tmp_path, "--help"), re.MULTILINE)
    if how.group == "dataset.augment":
        run(tmp_path, "dataset.augment.grey=true", "output_dir=run", *TINY)
        assert "grey: true" in (tmp_path / "run" / "config.yaml").read_text()
        run(tmp_path, "dataset=cifar100", "dataset.augment.grey=true", "--cfg", "job")
    elif how.group == "sweeps":
        assert "2 of 2 trials done" in run(tmp_path, "-m", "sweeps=two_seeds", *TINY)
        results = tmp_path.glob("multirun/two_seeds/*/result.json")
        assert sorted(json.loads(result.read_text())["seed"] for result in results) == [0, 1]
    elif how.group == "task":
        assert re.search(r"^\d+ parameters$", run(tmp_path, "task=count", *TINY), re.MULTILINE)
    else:
        run(tmp_path, f"{how.group}={how.name}", "output_dir=run", *TINY)
        assert json.loads((tmp_path / "run" / "result.json").read_text())[how.group] == how.name
