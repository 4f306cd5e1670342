"""What is asked of the machine's memory."""

import platform
import subprocess
import sys

import pytest

STEPS = """
import ctypes, resource, torch
from gacsnn.runtime.host import MMAP_THRESHOLD, keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.empty(n * 100_000).fill_(1) for n in range(1, 40)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 128 * 1024)  # as it is at first; later it depends on what was freed
faults()
without = faults()
keep_freed_memory()
faults()
print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_what_a_step_gave_back_the_next_has_without_asking_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert kept < 1000 < without
