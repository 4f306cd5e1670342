"""The least that a run holds: never more than it does, and not so little that nothing is refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from program import ROOT, TINY, config

from gacsnn.data import load_splits
from gacsnn.errors import InputError
from gacsnn.runtime import host
from gacsnn.runtime.datasets import training_images
from gacsnn.tasks import experiment, least
from gacsnn.tasks.experiment import parameter_count, prepare
from gacsnn.training.memory import peak_of


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("hardware.accumulate=2",),
        ("hardware.precision=bf16",),
        ("model.stages=[[64,2,2],[128,1,2]]", "encoder=direct"),
        ("model=max_resnet18", "model.width=0.05", "dataset=synthetic", "dataset.size=16", "dataset.images=200"),
        ("model=resnet104", "model.width=0.02", "model.layout=imagenet", "dataset=synthetic", "dataset.images=200"),
    ],
    ids=" ".join,
)
def test_it_is_less_than_what_a_step_holds_and_a_good_part_of_it(options: tuple[str, ...]) -> None:
    asked = config(*TINY, "model.width=0.2", "batch_size=24", *options)
    made = prepare(asked)
    parts = asked.hardware.accumulate
    assert isinstance(parts, int)
    made.model.accumulate(parts)
    told = least.least_of(asked)
    assert told.images == 24
    peak = peak_of(made.model.train(), made.normalise, made.machine, made.image_size(), 24)
    gradients = 4 * parameter_count(made.model)
    assert told.activations + gradients <= peak
    assert told.activations > (peak - gradients) / (6 if parts == 1 else 12)
    assert 0.8 < told.weights / 4 / (parameter_count(made.model) * 4) <= 1, "weights, gradients, two moments of Adam's"


@pytest.mark.parametrize(
    "options", [("dataset.validation=0.3",), ("dataset=synthetic", "dataset.images=300"), ("folder",)]
)
def test_so_many_images_there_are_at_least(options: tuple[str, ...], jpegs: Path) -> None:
    given = ("dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=16") if options == ("folder",) else options
    dataset = config(*given).dataset
    there = len(load_splits(dataset).train)
    assert 0.75 * there <= training_images(dataset, 10**6) <= there
    assert training_images(dataset, 7) == 7


def test_what_is_published_fits_into_the_gpus_of_its_day() -> None:
    for path in sorted((ROOT / "conf" / "experiment").glob("cifar*.yaml")):
        least.check(config(f"experiment={path.stem}"), 11 * 2**30, "the GPU")


def test_what_no_machine_holds_is_refused_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "in_all", lambda: 24 * 2**30)
    large = config("T=10000", "batch_size=1000000", "hardware=cpu")
    said = r"T=10000 batch_size=1000000, 1,\d\d\d images a step: a step takes at least \d+ GiB, and this machine has 24 GiB"
    with pytest.raises(InputError, match=said + "; take a smaller T, batch_size or model.width"):
        least.check_host(large)
    with pytest.raises(InputError, match=r"model=resnet18 model.width=100: the weights alone take at least \S+ GiB"):
        least.check_host(config("model=resnet18", "model.width=100", "hardware=cpu"))
    with pytest.raises(InputError, match=r"dataset.images=1000000000 dataset.size=32: to draw them takes"):
        least.check_host(config("dataset=synthetic", "dataset.images=1000000000", "hardware=cpu"))
    least.check_host(config("hardware=cpu"))


def test_a_measurement_keeps_no_layer_but_one() -> None:
    trained = config("T=1000", "batch_size=512")
    measured = config("T=1000", "batch_size=512", "task=evaluate", "checkpoint=x")
    assert least.least_of(measured).activations < least.least_of(trained).activations / 512


def test_the_limit_of_a_jobs_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Path("/proc/self/cgroup").read_text().splitlines()
    for _, controllers, path in (line.split(":", 2) for line in mine):
        root, name = (
            (tmp_path, "memory.max") if controllers == "" else (tmp_path / controllers, "memory.limit_in_bytes")
        )
        group = root / path.lstrip("/")
        group.mkdir(parents=True, exist_ok=True)
        (group / name).write_text("max\n" if controllers != "" else "123456789\n")
    version_2 = any(line.split(":")[1] == "" for line in mine)
    assert host.limits(tmp_path) == ([123456789] if version_2 else [])
    assert 2**20 < host.in_all() < 2**60
    monkeypatch.setattr(host, "limits", lambda: [2**21])
    assert host.in_all() < 2**21 + host.meminfo()["MemTotal"] + host.meminfo().get("SwapTotal", 0)


def test_what_a_gpu_is_to_hold_is_held_against_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "on_gpu", lambda _: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=2**30))
    monkeypatch.setattr(least, "may_have_gpu", lambda: True)
    large = config("T=100", "batch_size=512", "model.width=1")
    assert least.large_for_gpu(large)
    least.check_host(large)
    with pytest.raises(InputError, match=r"a step takes at least \S+ GiB, and the GPU has 1 GiB; take a smaller T"):
        experiment.check_gpu_memory(large)
    experiment.check_gpu_memory(
        large.model_copy(update={"hardware": large.hardware.model_copy(update={"processes": 64})})
    )
    assert not least.large_for_gpu(config())
