"""A trained network elsewhere: from Python by `gacsnn.load`, and as the start or the subject of another command."""

from pathlib import Path

import pytest
import torch
from program import TINY, Launch, config, read_result, refused

import gacsnn
from gacsnn.data import load_splits
from gacsnn.data.normalise import Normalisation
from gacsnn.errors import InputError
from gacsnn.training import checkpoint

SHAPE = {"T": 2, "num_classes": 10, "width": 0.05}


@pytest.fixture
def run(launch: Launch, tmp_path: Path) -> Path:
    """A run with a neuron that is not the layout's own."""
    assert launch(*TINY, "neuron=imagenet", "hardware.threads=1", "output_dir=run").code == 0
    return tmp_path / "run"


def test_a_run_is_loaded_as_it_was_measured(run: Path) -> None:
    images = load_splits(config(*TINY).dataset).limited(64, 32).test
    pixels = torch.stack([images[index, 0][0] for index in range(32)])
    for source in (run, str(run), run / "checkpoints" / "best.pt"):
        network, normalise, classes = gacsnn.load(source)
        assert not network.training
        assert normalise is not None
        assert classes == [str(digit) for digit in range(10)]
        with torch.no_grad():
            logits = network(normalise(pixels))
        assert logits.shape == (32, 2, 10)
        loss = torch.nn.functional.cross_entropy(logits.mean(dim=1), images.labels)
        assert loss.item() == pytest.approx(read_result(run)["loss"], rel=1e-6)
    assert network.encoder.lif.threshold == 0.5, "that of neuron=imagenet"
    with pytest.raises(InputError, match="says itself what its network is; leave out name, T"):
        gacsnn.load(run, "resnet8", T=2)
    with pytest.raises(InputError, match="no such file"):
        gacsnn.load(run.parent)


def test_load_of_best_of_another_run_warns_in_one_line(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What trained `tiny` in this process shows the log on standard output; caplog may see each record twice."""
    gacsnn.load(tiny)
    assert capsys.readouterr().out == ""
    best = tiny / "checkpoints" / "best.pt"
    checkpoint.save(best, {**checkpoint.read(best), "run_id": "0123456789abcdef"})
    gacsnn.load(tiny)
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"warning: checkpoint={best}: belongs to another run than its directory: the run's id is ")
    assert said.endswith(" there and 0123456789abcdef here")


def test_a_bare_state_dict_is_loaded_where_its_network_is_given(run: Path) -> None:
    trained = gacsnn.load(run).network
    for prefix, name in (("", "plain.pt"), ("module.", "parallel.pt")):
        torch.save({prefix + key: tensor for key, tensor in trained.state_dict().items()}, run.parent / name)
        neuron = gacsnn.neuron.NEURONS["imagenet"]
        network, normalise, classes = gacsnn.load(run.parent / name, "resnet8", neuron=neuron, **SHAPE)
        assert (normalise, classes) == (None, None), "it says neither"
        images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(network(images), trained(images))
    for options, said in (
        ({}, "does not say what its network is"),
        ({"name": "resnet8", **SHAPE, "T": 4}, "T is 2 there and 4 here, and the gate's temporal attention is tied"),
        ({"name": "resnet8", **SHAPE, "encoder": "direct"}, "plain.pt: of another architecture: 4 are left over"),
    ):
        with pytest.raises(InputError, match=said):
            gacsnn.load(run.parent / "plain.pt", **options)


def test_images_that_would_be_normalised_wrongly_are_refused() -> None:
    normalise = Normalisation([0.5] * 3, [0.25] * 3)
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1)
    torch.testing.assert_close(normalise(pixels).flatten(), torch.tensor([-2.0, -1.2, 2.0]))
    torch.testing.assert_close(normalise(pixels / 255), normalise(pixels))
    for wrong in (pixels.float(), pixels.long(), torch.rand(1, 8, 8), torch.rand(3), pixels.numpy()):
        with pytest.raises(InputError, match="images: "):
            normalise(wrong)  # type: ignore[arg-type]


def test_what_a_checkpoint_was_trained_with_is_taken_from_it_or_said(launch: Launch, tmp_path: Path, run: Path) -> None:
    measure = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "limit_eval=32")
    said = launch(*measure, "output_dir=again")
    assert (said.code, "trained otherwise" in said.out) == (0, False)
    assert read_result(tmp_path / "again")["loss"] == read_result(run)["loss"]
    assert "neuron.decay is 0.25 there and 0.5 here" in refused(launch, tmp_path, *measure, "neuron=cifar")
    said = launch(*measure, "dataset.mean=[0.5,0.5,0.5]")
    assert said.code == 0
    assert "best.pt: its network was trained otherwise: dataset.mean is [0." in said.out
    said = launch(*TINY, "dataset=synthetic", "dataset.size=8", "checkpoint=run/checkpoints/best.pt")
    assert said.code == 0
    (line,) = (line for line in said.out.splitlines() if "trained otherwise" in line)
    assert line.startswith("warning: checkpoint=run/checkpoints/best.pt: ")
    assert "neuron.threshold is 0.5 there and 1.0 here" in line
    assert "classes is 0, 1, 2, ... there and class0, class1, class2, ... here" in line


def test_a_bare_state_dict_of_ours_is_measured_and_trained_from(launch: Launch, tmp_path: Path, run: Path) -> None:
    torch.save(gacsnn.load(run).network.state_dict(), tmp_path / "FILE.pt")
    said = launch(*TINY, "neuron=imagenet", "task=evaluate", "checkpoint=FILE.pt", "output_dir=again")
    assert said.code == 0, said.err
    assert "checkpoint=FILE.pt: weights alone; neuron (decay 0.25, threshold 0.5" in said.out
    result = read_result(tmp_path / "again")
    assert result["loss"] == read_result(run)["loss"]
    assert result["selected_by"] == "the user: FILE.pt, a bare state dict"
    assert launch(*TINY, "checkpoint=FILE.pt", "max_steps=1").code == 0
    assert "T is 2 there and 3 here" in refused(launch, tmp_path, *TINY, "checkpoint=FILE.pt", "T=3")


@pytest.mark.parametrize("task", ["train", "evaluate", "energy"])
def test_weights_from_another_tool_are_loaded_or_refused_in_every_task(
    launch: Launch, tmp_path: Path, run: Path, task: str
) -> None:
    state = gacsnn.load(run).network.state_dict()
    first = next(iter(state))
    options = (*TINY, "neuron=imagenet", f"task={task}", "checkpoint=FILE.pt", "max_steps=1", "output_dir=new")
    for faulty, said in ((state[first] * torch.nan, "is not finite"), (state[first].int(), "is of type int32")):
        torch.save({f"module.{name}": faulty if name == first else state[name] for name in state}, tmp_path / "FILE.pt")
        assert f": {'module.' * ('finite' in said)}{first} {said}" in refused(launch, tmp_path, *options)
        with pytest.raises(InputError, match=said):
            gacsnn.load(tmp_path / "FILE.pt", "resnet8", **SHAPE)
    half = {f"_orig_mod.module.{name}": tensor.bfloat16() for name, tensor in state.items()}
    torch.save({"weights": half, "epoch": 3}, tmp_path / "FILE.pt")
    assert launch(*options).code == 0
    loaded = gacsnn.load(tmp_path / "FILE.pt", "resnet8", **SHAPE).network.state_dict()
    assert all(torch.equal(tensor, state[name].bfloat16().to(tensor.dtype)) for name, tensor in loaded.items())
