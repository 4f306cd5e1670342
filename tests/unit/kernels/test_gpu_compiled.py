"""The GPU's kernels, compiled for GPUs that are not here, for what `gpu.py` calls them with: few registers."""

import os
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from blocks import channels_last
from torch import Tensor

from gacsnn.batchnorm import BatchNorm2d
from gacsnn.neuron import LIF

triton = pytest.importorskip("triton", reason="torch has Triton where it has CUDA")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import driver  # noqa: E402

from gacsnn.kernels import gpu  # noqa: E402
from gacsnn.kernels.fused import gradient, normalised  # noqa: E402

PTXAS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"

# What leaves room on a multiprocessor (64 Ki registers) for at least 4 programs of 128 threads.
REGISTERS, SHARED = 128, 48 * 1024

# The assembler puts up to four values aside where that makes room for one program more. A loop that outgrew its registers would
# have as many for each of a thread's elements and steps.
SPILLED = 16


class Absent:
    """The driver of a GPU that is not here, as far as a compiler asks it."""

    def __init__(self, architecture: int) -> None:
        self.architecture = architecture

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.architecture, 32)

    def get_current_device(self) -> int:
        return self.architecture

    def get_current_stream(self, _device: int) -> int:
        return 0


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The kernels that would have been started."""
    kernels: list[Any] = []

    def start(kernel: Any, programs: int, *arguments: Any, **more: Any) -> None:
        kernels.append(kernel.run(*arguments, grid=(programs,), warmup=True, **more))

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(gpu, "start", start)
    yield kernels
    driver.set_active(None)


def resources(kernel: Any, architecture: int) -> tuple[int, int]:
    """Registers of a thread, and bytes that it spills, by the assembler's own word."""
    name = f"sm_{architecture}{'a' if architecture == 90 else ''}"
    command = [str(PTXAS), "-v", f"-arch={name}", "-o", os.devnull, "/dev/stdin"]
    said = subprocess.run(command, input=kernel.asm["ptx"], capture_output=True, text=True, check=True).stderr
    registers, spilled = re.search(r"Used (\d+) registers", said), re.search(r"(\d+) bytes spill stores", said)
    assert registers is not None
    assert spilled is not None
    return int(registers[1]), int(spilled[1])


def call_backward(x: Tensor, g: Tensor, neuron: LIF) -> None:
    norm = torch.zeros(4, x.shape[2], dtype=torch.promote_types(x.dtype, torch.float32))
    for one, more in product((None, norm), (None, g)):
        gpu.lif_backward(x, neuron, g, more, one)
    gpu.lif_backward(x, neuron, g, x, norm, spikes=x)
    if len(x) <= gpu.KEPT:
        gpu.gate_backward(x[0], g[0], x[:, :, 0, 0, 0], neuron, g)


def call_others(x: Tensor, g: Tensor, neuron: LIF) -> None:
    """Each other function that starts a kernel, in each of its forms; nothing is computed."""
    bn = BatchNorm2d(x.shape[2]).to(torch.promote_types(x.dtype, torch.float32))
    found, count = gpu.statistics(x), torch.tensor(7.0, dtype=torch.float64)
    norm = gpu.norm(found, 7, bn)
    gpu.norm(found, count, bn, update=True)
    gpu.norm(None, 0, bn)
    sums = gpu.sums(x, norm, g)
    made, _, _ = gpu.gradients(sums, sums, norm, 7, bn)
    gpu.gradients(sums, sums, norm, count, bn)
    gpu.lif(x, neuron)
    gpu.lif(x, neuron, norm)
    gpu.gate(x[0], g[0], x[:, :, 0, 0, 0], neuron)
    normalised(x, norm, None, gpu)
    normalised(x, norm, g, gpu)
    gradient(x, norm, made, g, gpu)


def check(kernels: list[Any], architecture: int, count: int) -> None:
    assert len(kernels) == count
    for kernel in kernels:
        registers, spilled = resources(kernel, architecture)
        found = f"sm_{architecture} {kernel.metadata.name}: {registers} registers, {spilled} bytes spilled"
        print(f"{found}, {kernel.metadata.shared} bytes shared")
        assert registers <= REGISTERS, found
        assert spilled <= SPILLED, found
        assert kernel.metadata.shared <= SHARED, found
        assert kernel.asm["cubin"]


def test_kernels_compile_for_a_gpu_that_is_not_here(compiled: list[Any]) -> None:
    driver.set_active(Absent(90))
    x = channels_last(torch.zeros(4, 2, 64, 8, 8, dtype=torch.bfloat16))
    call_others(x, x, LIF())
    call_backward(x, x, LIF())
    check(compiled, 90, 24)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("order", [torch.clone, channels_last])
@pytest.mark.parametrize("wide", [False, True])
def test_few_registers_are_taken(
    compiled: list[Any], architecture: int, dtype: torch.dtype, order: Any, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of shapes that loads of 16 bytes divide, and of others."""
    driver.set_active(Absent(architecture))
    monkeypatch.setattr(gpu, "is_wide", lambda _: wide)
    even, odd = (order(torch.zeros(shape, dtype=dtype)) for shape in ((4, 2, 64, 8, 8), (4, 3, 5, 7, 7)))
    call_others(even, even, LIF())
    call_others(odd, odd, LIF())
    check(compiled, architecture, 30)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("order", [torch.clone, channels_last])
@pytest.mark.parametrize("T", [1, 2, 3, 4, 6, 8, 9, 16])
def test_few_registers_are_taken_in_the_backward_pass(
    compiled: list[Any], architecture: int, dtype: torch.dtype, order: Any, T: int
) -> None:
    driver.set_active(Absent(architecture))
    even, odd = (order(torch.zeros(shape, dtype=dtype)) for shape in ((T, 2, 64, 8, 8), (T, 3, 5, 7, 7)))
    call_backward(even, even, LIF())
    call_backward(odd, odd, LIF(surrogate="rectangle", detach_reset=True))
    check(compiled, architecture, 18 if T <= gpu.KEPT else 16)
