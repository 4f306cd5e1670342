"""The walls of the house: who may import what (contracts in setup.cfg)."""

import subprocess
import sys
from pathlib import Path

from program import ROOT


def test_the_walls_stand() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_broken_wall_is_seen(tmp_path: Path) -> None:
    """The contracts name real modules: with one wrong import, they break."""
    for name in ("gacsnn", "setup.cfg"):
        subprocess.run(["cp", "-r", ROOT / name, tmp_path], check=True)
    with (tmp_path / "gacsnn" / "neuron.py").open("a") as file:
        file.write("import gacsnn.config.schema\nimport gacsnn.models\n")
    with (tmp_path / "gacsnn" / "report" / "table.py").open("a") as file:
        file.write("import torch\nimport hydra\n")
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-logo", "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Contracts: 0 kept, 4 broken." in done.stdout


def test_tables_and_figures_need_no_torch() -> None:
    code = "import gacsnn.report.energy, gacsnn.report.study, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
