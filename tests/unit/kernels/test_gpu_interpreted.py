"""The comparisons of `test_gpu.py` without a GPU, by Triton's interpreter, which is asked for before Triton is imported."""

import os
import re
import subprocess
import sys

import pytest
from program import ROOT

pytest.importorskip("triton", reason="torch has Triton where it has CUDA")

# Of everything a little: what a default run has time for.
QUICK = "tiny or norms_and or (a_block and float64 and identity and True and channels_last)"


def compare(examples: int, *options: str) -> int:
    """How many comparisons were made."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-m", "gpu", "--noconftest", "-p", "no:cacheprovider", "-rA", *options,
         "tests/unit/kernels/test_gpu.py"],
        cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1", "GACSNN_TEST_EXAMPLES": str(examples)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return len(re.findall("^PASSED", done.stdout, re.MULTILINE))


def test_kernels_compute_what_the_cpu_computes() -> None:
    assert compare(2, "-k", QUICK) == 12


@pytest.mark.slow
def test_they_do_for_many_more_examples_and_all_blocks() -> None:
    assert compare(60) == 50
