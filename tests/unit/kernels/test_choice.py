"""Which kernels there are, and the reason where there are none."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from gacsnn.kernels.build import BuildError
from gacsnn.kernels.choice import NoKernelsError, fused


def test_there_are_none_for_other_devices_and_types() -> None:
    with pytest.raises(NoKernelsError, match="none for meta"):
        fused("meta", torch.float32)
    with pytest.raises(NoKernelsError, match="none for float16 on cpu"):
        fused("cpu", torch.float16)


def test_triton_is_imported_for_a_gpu_alone() -> None:
    asked = "from gacsnn.kernels.choice import fused; fused('cpu', torch.float32)"
    code = f"import sys, torch; {asked}; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_triton_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import gacsnn.kernels

    monkeypatch.delitem(sys.modules, "gacsnn.kernels.gpu", raising=False)
    monkeypatch.delattr(gacsnn.kernels, "gpu", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(NoKernelsError, match="Triton cannot be imported"):
        fused("cuda", torch.float32)


def test_a_gpu_on_which_triton_cannot_run_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = pytest.importorskip("gacsnn.kernels.gpu", reason="torch has Triton where it has CUDA")
    with pytest.raises(NoKernelsError, match="none for int8 on cuda"):
        fused("cuda", torch.int8)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(BuildError, match=r"compute capability 7\.5, and 8\.0 is needed"):
        gpu.prepare()

    def lif(*_: object) -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(gpu, "lif", lif)
    monkeypatch.setattr(
        gpu, "torch", SimpleNamespace(cuda=torch.cuda, version=torch.version, zeros=lambda *_, **__: None)
    )
    with pytest.raises(NoKernelsError, match=r"Triton cannot compile or run a kernel \(Failed to find C compiler.\)"):
        fused("cuda", torch.float32)
