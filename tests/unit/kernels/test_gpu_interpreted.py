"""The comparisons of `test_gpu.py` without a GPU, by Triton's interpreter, which has to be asked for before Triton is imported."""

import os
import subprocess
import sys

import pytest
from program import ROOT

pytest.importorskip("triton", reason="torch has Triton where it has CUDA")


def compare(examples: int, *options: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-m", "gpu", "-p", "no:cacheprovider", *options, "tests/unit/kernels/test_gpu.py"],
        cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1", "GACSNN_TEST_EXAMPLES": str(examples)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout or "--co" in options


def test_what_kernels_compute_is_what_the_cpu_computes() -> None:
    compare(4, "-k", "not (block or bfloat16) and not (gpu and wait) and small or constants or norms or identity-cifar-4-True-as_it_is")


@pytest.mark.slow
def test_it_is_for_many_more_examples_and_for_blocks() -> None:
    compare(150)
