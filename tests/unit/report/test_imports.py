"""What is shown needs neither torch nor Hydra, and only what draws brings matplotlib."""

import subprocess
import sys
from pathlib import Path

import gacsnn.report

MODULES = sorted(f"gacsnn.report.{file.stem}" for file in Path(gacsnn.report.__path__[0]).glob("*.py"))


def test_no_module_brings_torch_hydra_or_matplotlib() -> None:
    names = [name.removesuffix(".__init__") for name in MODULES]
    assert "gacsnn.report.study" in names
    code = f"import sys, {', '.join(names)}; print({{'torch', 'hydra', 'omegaconf', 'matplotlib'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
