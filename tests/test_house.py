"""The walls of the house: who may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

MODULES = sorted((ROOT / "gacsnn").rglob("*.py"))


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_the_package_knows_nothing_of_hydra(file: Path) -> None:
    if file.parent.name != "sweep":
        assert not {name for name in imported(file) if name.split(".")[0] in ("hydra", "hydra_plugins", "omegaconf")}


def test_config_and_mistakes_need_no_torch() -> None:
    for name in ("errors", "config/schema", "config/messages"):
        assert not {n for n in imported(ROOT / "gacsnn" / f"{name}.py") if n.split(".")[0] in ("torch", "torchvision")}


def test_lower_modules_do_not_know_higher_ones() -> None:
    above = {"neuron": {"encoders", "models"}, "encoders": {"models"}, "models": {"training"}, "training/loop": {"run"}}
    for name, higher in above.items():
        assert not imported(ROOT / "gacsnn" / f"{name}.py") & {f"gacsnn.{module}" for module in higher}


def test_tables_and_images_need_no_torch() -> None:
    code = "import gacsnn.report.energy, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
