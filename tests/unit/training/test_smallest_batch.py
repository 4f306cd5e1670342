"""A batch that a batch norm cannot normalise is refused before the first step."""

from pathlib import Path

import pytest
import torch
from program import Launch, config, refused

from gacsnn.errors import InputError
from gacsnn.models import SpikingResNet, create_model
from gacsnn.tasks.experiment import prepare
from gacsnn.training.smallest_batch import check_smallest_batch, smallest_batch, values_per_image

FEW = ("hardware=cpu", "hardware.threads=1", "dataset=synthetic", "dataset.images=200", "model.width=0.05")


@pytest.mark.parametrize(
    ("images", "options", "smallest"),
    [
        (7, ("batch_size=3",), 1),
        (6, ("batch_size=3",), 3),
        (2, ("batch_size=3",), 2),
        (7, ("batch_size=3", "max_steps=2"), 3),
        (7, ("batch_size=3", "max_steps=3"), 1),
        (1, ("batch_size=3", "max_steps=1"), 1),
    ],
)
def test_smallest_batch_is_the_last_unless_the_run_stops_before_it(
    images: int, options: tuple[str, ...], smallest: int
) -> None:
    assert smallest_batch(config(*options), images) == smallest


@pytest.mark.parametrize("encoder", ["gac", "direct", "poisson", "latency", "phase"])
@pytest.mark.parametrize("T", [1, 2])
@pytest.mark.parametrize(
    ("name", "layout", "size"),
    [
        *(("resnet8", "cifar", 4), ("max_resnet18", "cifar", 4), ("resnet8", "cifar", 5)),
        *(("resnet8", "imagenet", 8), ("resnet8", "imagenet", 33), ("resnet104", "imagenet", 16)),
    ],
)
def test_one_image_is_refused_exactly_where_a_training_step_fails(
    name: str, T: int, layout: str, size: int, encoder: str
) -> None:
    model = create_model(name, T=T, num_classes=2, width=0.02, layout=layout, encoder=encoder)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    counts = values_per_image(model, (size, size))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    try:
        model(torch.rand(1, 3, size, size))
        works = True
    except ValueError:
        works = False
    assert works == (min(counts.values()) > 1)


def model_of_one_value() -> SpikingResNet:
    return create_model("resnet8", T=1, num_classes=2, width=0.02)


@pytest.mark.parametrize(
    ("images", "processes", "options", "said"),
    [
        (9, 2, ("batch_size=4",), "the smallest batch of an epoch (9 images in all) has one image"),
        (10, 2, ("batch_size=4", "hardware.sync_batchnorm=false"), "a process's part of the smallest batch"),
        (9, 2, ("batch_size=4", "hardware.sync_batchnorm=false"), "has 1 images for 2 processes, and each needs one"),
        (10, 2, ("batch_size=4",), None),
        (12, 2, ("batch_size=4", "hardware.sync_batchnorm=false"), None),
    ],
)
def test_processes_are_counted_as_their_batch_statistics_are(
    images: int, processes: int, options: tuple[str, ...], said: str | None
) -> None:
    def check() -> None:
        check_smallest_batch(model_of_one_value(), config(*options), images, processes, lambda: (4, 4))

    if said is None:
        check()
    else:
        with pytest.raises(InputError) as caught:
            check()
        assert said in str(caught.value)


@pytest.mark.parametrize("kernels", ["plain", "auto"])
def test_a_last_batch_of_one_value_a_channel_is_refused_before_the_first_step(
    launch: Launch, tmp_path: Path, kernels: str
) -> None:
    case = (*FEW, "dataset.size=4", "T=1", "batch_size=3", "limit_train=7", "epochs=2", "limit_eval=8")
    for more in ((), ("plan=true",), ("batch_size=1", "hardware.accumulate=auto")):
        given = {each.partition("=")[0]: each for each in (*case, f"hardware.kernels={kernels}", *more)}
        said = refused(launch, tmp_path, *given.values())
        assert said.startswith(f"{given['batch_size']}: the smallest batch of an epoch (7 images in all) has one image")
        assert "the batch norm stages.2.0.shortcut.1 reads one value a channel" in said
        assert "limit_train" in said


def test_one_image_a_batch_is_trained_where_steps_or_places_give_more_values() -> None:
    prepare(config(*FEW, "dataset.size=4", "T=2", "batch_size=1"))
    prepare(config(*FEW, "dataset.size=8", "T=1", "batch_size=1"))


def test_a_benchmark_of_one_value_a_channel_is_refused(launch: Launch, tmp_path: Path) -> None:
    options = ("model.layout=imagenet", "neuron=imagenet", "task=benchmark", "T=1", "batch_size=1")
    assert refused(launch, tmp_path, *FEW, "dataset.size=4", *options).startswith("batch_size=1: the smallest batch")
