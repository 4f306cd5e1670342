"""A trained network as it is used from Python: with its weights, how its images are normalised, and the names of its classes."""

from pathlib import Path
from typing import Any, NamedTuple

from gacsnn.config.saved import from_saved
from gacsnn.config.schema import Config
from gacsnn.data.normalise import Normalisation
from gacsnn.encoders import ENCODERS
from gacsnn.errors import InputError
from gacsnn.models import SpikingResNet, create_model
from gacsnn.runtime.console import log
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.training.checkpoint import read_any
from gacsnn.training.run_identity import strange_to_its_directory
from gacsnn.weights import load_state, load_weights

# The reader of codes of the pixels, which take them as they are: mean and standard deviation that change nothing.
AS_THEY_ARE = ([0.0] * 3, [1.0] * 3)


class Trained(NamedTuple):
    """What `load` gives; it unpacks into its three parts.

    network: on the CPU, in eval mode; normalised images [B, 3, H, W] -> logits [B, T, classes].
    normalise: images -> what the network was trained to see. None where a bare state dict does not say.
    classes: their names, in the order of the logits. None where a bare state dict does not say.
    """

    network: SpikingResNet
    normalise: Normalisation | None
    classes: list[str] | None


def load(source: str | Path, name: str | None = None, **options: Any) -> Trained:
    """Load a trained network.

    Args:
        source: a run directory, of which the selected weights are taken (`best.pt`, else `last.pt`); one of its checkpoints;
            or a bare state dict, ours or the authors'.
        name, options: for a bare state dict, the arguments of `create_model`: what it was trained as, the neuron's constants
            among it. A run and its checkpoints say it themselves.

    Raises:
        InputError: a `ValueError` of one line, when there is no such file, it is damaged, or of another architecture.
    """
    path = Path(source)
    if path.is_dir():
        run_dir = RunDirectory(path)
        path = run_dir.best if run_dir.best.exists() else run_dir.last
    content, origin = read_any(path), f"checkpoint={path}"
    if other := strange_to_its_directory(path, content):
        log.warning(other)
    if "config" not in content:
        return Trained(bare(content, origin, name, options), None, None)
    if name is not None or options:
        given = ", ".join([*(["name"] if name is not None else []), *options])
        raise InputError(f"{origin}: says itself what its network is; leave out {given}")
    config, classes = from_saved(content["config"], origin), list(content["classes"])
    network = network_of(config, len(classes))
    load_weights(network, content["model"], origin)
    mean, std = normalisation_of(config, config.dataset.mean, config.dataset.std)
    return Trained(network.eval(), Normalisation(mean, std), classes)


def bare(state: dict[str, Any], origin: str, name: str | None, options: dict[str, Any]) -> SpikingResNet:
    if name is None or not {"T", "num_classes"} <= set(options):
        raise InputError(
            f"{origin}: a bare state dict does not say what its network is; give the arguments of gacsnn.create_model, such as "
            'name="resnet8", T=4, num_classes=10'
        )
    network = create_model(name, **options)
    load_state(network, state, origin)
    return network.eval()


def network_of(config: Config, classes: int) -> SpikingResNet:
    """The network that a config describes, with new weights."""
    return create_model(
        config.model.name,
        T=config.T,
        num_classes=classes,
        encoder=config.encoder.name,
        layout=config.model.layout,
        width=config.model.width,
        stages=config.model.stages,
        neuron=config.neuron.model_dump(),
        encoder_options=config.encoder.model_dump(exclude={"name"}),
    )


def normalisation_of(
    config: Config, mean: list[float] | None, std: list[float] | None
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the images as the config's encoder takes them; those of the data are given."""
    if not ENCODERS[config.encoder.name].static:
        return AS_THEY_ARE
    if mean is None or std is None:
        raise InputError("dataset.mean, dataset.std: a checkpoint that was trained must say both; this one is damaged")
    return mean, std
