"""Runs, sweeps and measurements on a GPU: `pytest -m gpu tests/cli/test_on_gpu.py`."""

import copy
import gc
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from program import FOLDER, ROOT, SEARCH, TINY, Launch, read_metrics, read_result
from studies import load as load_study

from gacsnn import create_model
from gacsnn.batchnorm import synchronise
from gacsnn.kernels.choice import fused
from gacsnn.models import Head
from gacsnn.training.checkpoint import read

pytestmark = pytest.mark.gpu

ON_GPU = tuple(option.replace("hardware=cpu", "hardware=cuda") for option in TINY)
LEARNS = ("hardware=cuda", "model.width=0.25", "epochs=4")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "fp64"])
@pytest.mark.parametrize("kernels", ["auto", "plain"])
def test_digits_are_learned_in_each_precision(launch: Launch, tmp_path: Path, precision: str, kernels: str) -> None:
    said = launch(*LEARNS, f"hardware.precision={precision}", f"hardware.kernels={kernels}", "output_dir=run")
    assert said.code == 0, said.err
    result = read_result(tmp_path / "run")
    assert result["device"] == torch.cuda.get_device_name()
    assert result["kernels"] == ("plain" if kernels == "plain" else "fused")
    assert result["top1"] > 80


def test_a_step_is_the_same_by_graphs(launch: Launch, tmp_path: Path) -> None:
    """In float64, where what a GPU adds up in another order moves nothing that is seen; an epoch's last batch is smaller."""
    losses = []
    for graphs in ("true", "false"):
        options = (*ON_GPU, "hardware.precision=fp64", "epochs=2", "limit_train=70", f"hardware.cuda_graphs={graphs}")
        said = launch(*options, "augmentation=cutmix", f"output_dir=graphs-{graphs}")
        assert said.code == 0, said.err
        assert ("CUDA graphs" in said.out + said.err) == (graphs == "true")
        losses.append([line["train_loss"] for line in read_metrics(tmp_path / f"graphs-{graphs}")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_what_is_drawn_by_images_is_drawn_in_a_graph(launch: Launch, tmp_path: Path) -> None:
    losses = []
    for graphs in ("true", "false"):
        options = (*ON_GPU, "encoder=poisson", "hardware.precision=fp64", f"hardware.cuda_graphs={graphs}")
        assert launch(*options, "epochs=2", f"output_dir=graphs-{graphs}").code == 0
        losses.append([line["train_loss"] for line in read_metrics(tmp_path / f"graphs-{graphs}")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_what_a_graph_cannot_do_is_done_without(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Head.forward
    monkeypatch.setattr(Head, "forward", lambda self, x: whole(self, x) * float(x.sum().sign().abs() >= 0))
    said = launch(*ON_GPU, "output_dir=run")
    assert said.code == 0, said.err
    assert "hardware.cuda_graphs=auto: none, because the network does what a graph cannot" in said.out + said.err
    said = launch(*ON_GPU, "hardware.cuda_graphs=true", "output_dir=other")
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_the_memory_of_a_graph_is_given_back(launch: Launch) -> None:
    before = torch.cuda.memory_allocated()
    options = ("hardware=cuda", "dataset=synthetic", "model.width=0.5", "epochs=1", "limit_eval=8")
    assert launch(*options, "batch_size=64", "limit_train=127", "output_dir=run").code == 0
    gc.collect()
    assert torch.cuda.memory_allocated() - before < 2**27, "what a run's graph took is given back"


def test_what_a_gpu_has_trained_a_cpu_measures_the_same(launch: Launch, tmp_path: Path) -> None:
    """In float64 no spike flips."""
    assert launch(*LEARNS, "hardware.precision=fp64", "output_dir=run").code == 0
    measured = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "hardware.precision=fp64")
    for device in ("cpu", "cuda"):
        assert launch(*measured, f"hardware={device}", f"output_dir={device}").code == 0
    trained, cpu, cuda = (read_result(tmp_path / name) for name in ("run", "cpu", "cuda"))
    for name in ("top1", "firing_rate"):
        assert cpu[name] == pytest.approx(trained[name], rel=1e-9)
        assert cuda[name] == pytest.approx(trained[name], rel=1e-9)


def test_a_run_that_stops_goes_on(launch: Launch, tmp_path: Path) -> None:
    """In float64, where what a GPU adds up in another order moves nothing that is seen."""
    options = (*ON_GPU, "hardware.precision=fp64", "epochs=3", "augmentation=cutmix")
    assert launch(*options, "output_dir=whole").code == 0
    assert launch(*options, "output_dir=cut", "max_steps=3").code == 0
    assert launch("resume=cut", "max_steps=null").code == 0
    whole, cut = (read_metrics(tmp_path / name) for name in ("whole", "cut"))
    assert len(whole) == len(cut) == 3
    assert [line["train_loss"] for line in cut] == pytest.approx([line["train_loss"] for line in whole], rel=1e-9)


def test_images_are_read_by_processes_beside_a_gpu(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    files = ("dataset=image_folder", "dataset.size=16", "dataset.resize=16", f"dataset.root={jpegs}")
    assert launch(*ON_GPU, *files, "hardware.workers=2", "output_dir=run").code == 0
    assert read_result(tmp_path / "run")["images_per_second"] > 0


def test_a_search_runs_its_trials_there(launch: Launch, tmp_path: Path) -> None:
    search = [option.replace("hardware=cpu", "hardware=cuda") for option in SEARCH]
    said = launch("-m", *search, "hydra.sweeper.n_trials=3")
    assert said.code == 0, said.err
    assert [trial.state.name for trial in load_study(tmp_path / FOLDER).trials] == ["COMPLETE"] * 3


@pytest.mark.parametrize("workers", [2])
def test_workers_share_it(launch: Launch, tmp_path: Path, workers: int) -> None:
    search = [option.replace("hardware=cpu", "hardware=cuda") for option in SEARCH]
    said = launch("-m", *search, "hydra.sweeper.n_trials=4", f"hydra.sweeper.n_jobs={workers}")
    assert said.code == 0, said.err
    assert [trial.state.name for trial in load_study(tmp_path / FOLDER).trials] == ["COMPLETE"] * 4


def test_a_benchmark_says_what_it_measured_on(launch: Launch, tmp_path: Path) -> None:
    said = launch(*ON_GPU, "task=benchmark", "task.rounds=3", "hardware.precision=bf16", "output_dir=made")
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "made" / "benchmark.json").read_text())
    assert found["device"] == torch.cuda.get_device_name()
    assert "none, because" not in said.out + said.err, "graphs were to be had"
    assert all(row["seconds"] > 0 for row in found["rows"])


def test_a_gpu_that_is_full_is_one_line(launch: Launch) -> None:
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        said = launch("hardware=cuda", "dataset=synthetic", "model=resnet18", "batch_size=256", "epochs=1")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (said.code, said.err.count("error: ")) == (1, 1)
    assert "error: the GPU's memory is too small for batch_size=256" in said.err
    assert "Traceback" not in said.err


def test_memory_of_a_step_is_what_was_counted(launch: Launch) -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    said = launch("hardware=cuda", "dataset=synthetic", "model=resnet18", "T=4", "batch_size=64", "epochs=1", "max_steps=2",
                  "hardware.accumulate=auto", "limit_train=256", "limit_eval=64")  # fmt: skip
    assert said.code == 0, said.err
    counted = re.search(r"hardware.accumulate=auto: 1 of ([0-9.]+) GiB", said.out + said.err)
    assert counted is not None
    assert torch.cuda.max_memory_allocated() / 2**30 == pytest.approx(float(counted[1]), rel=0.3)


def test_batch_norm_over_all_processes_goes_by_nccl() -> None:
    """In a group of one, which is what one GPU has room for: the statistics of all are its own."""
    torch.manual_seed(0)
    model = create_model("resnet8", T=4, num_classes=10, width=0.5).cuda().double()
    model.use(fused("cuda", torch.float64))
    images = torch.randn(6, 3, 16, 16, device="cuda", dtype=torch.float64)
    found = []
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl", store=store, rank=0, world_size=1)
    try:
        for synchronised in (False, True):
            network = copy.deepcopy(model)
            network.use(model.kernels)
            if synchronised:
                synchronise(network)
                network = torch.nn.parallel.DistributedDataParallel(network)
            network(images).square().sum().backward()
            found.append([p.grad for p in network.parameters()])
    finally:
        torch.distributed.destroy_process_group()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("start", [("-m", "torch.distributed.run", "--nproc_per_node=1"), ()], ids=["torchrun", "gpus"])
def test_a_process_a_gpu(tmp_path: Path, start: tuple[str, ...]) -> None:
    """Of which a machine may have one."""
    options = ("hardware=ddp", *(option for option in ON_GPU if option != "hardware=cuda"), "batch_size=16")
    command = [sys.executable, *start, str(ROOT / "launch.py")]
    for more in ((*options, "output_dir=run", "max_steps=2"), ("resume=run", "max_steps=null")):
        done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert read(tmp_path / "run" / "checkpoints" / "last.pt")["train_state"]["epoch"] == 1
