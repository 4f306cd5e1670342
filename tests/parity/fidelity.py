"""Our networks against the numbers of the authors' programs in `tests/parity/golden/`, in float64.

`python tests/parity/fidelity.py` runs every check and writes `docs/fidelity.md`; `tests/parity/test_fidelity.py`
asserts the same.

One thing is done here to be comparable: the authors' ImageNet neuron keeps its spikes in float32 even in a float64
network, so autograd rounds the gradient that reaches each spike to float32. `as_released` does that to our network.
"""

import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from golden import fill
from torch import Tensor, nn

from gacsnn import LIF, create_model, cutmix_box, load_reference
from gacsnn.encoders import latency_code, phase_code
from gacsnn.energy import firing_rates
from gacsnn.kernels.fused import Fused
from gacsnn.models import SpikingResNet
from gacsnn.neuron import NEURONS
from gacsnn.runtime.files import write_text
from gacsnn.tasks.experiment import parameter_count
from gacsnn.training.losses import cross_entropy, tet
from gacsnn.weights import reference_names

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = sorted(path.stem for path in GOLDEN.glob("*-r*.npz"))
LIMIT = 1e-9


class Check(NamedTuple):
    """One kind of figure of one case: how many numbers were compared, and the worst relative difference."""

    what: str
    numbers: int
    worst: float


def relative(what: str, ours: Any, theirs: Any, scale: Any = 0.0) -> Check:
    """Each difference relative to the number itself, or to `scale` where that is larger."""
    ours = ours.detach().cpu() if isinstance(ours, Tensor) else ours
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    difference = np.abs(ours - theirs)
    size = np.maximum(np.abs(theirs), scale)
    unequal = difference != 0  # NaN is unequal, too
    return Check(what, theirs.size, float(np.max(difference[unequal] / size[unequal], initial=0.0)))


def norms_and_sums(what: str, ours: list[Tensor], theirs: np.ndarray) -> Iterator[Check]:
    """L2 norms and sums of tensors. A sum may be 0 but for rounding, as the head's gradients: the norm is its scale."""
    norms = [x.detach().norm().item() for x in ours]
    sums = [x.detach().sum().item() for x in ours]
    yield relative(f"{what}, L2 norm", norms, theirs[:, 0])
    yield relative(f"{what}, sum", sums, theirs[:, 1], scale=theirs[:, 0])


class Case:
    """A golden case: its description, its numbers, and the authors' state dict that it was computed with."""

    def __init__(self, tag: str, device: str = "cpu", kernels: Fused | None = None) -> None:
        self.tag, self.device, self.kernels = tag, device, kernels
        self.about = json.loads((GOLDEN / f"{tag}.json").read_text())
        self.numbers = np.load(GOLDEN / f"{tag}.npz")
        spec = json.loads((GOLDEN / self.about["keys"]).read_text())["tensors"]
        self.state = {key: torch.from_numpy(np.asarray(a)) for key, a in fill.state(spec, self.about["seed"]).items()}
        self.layout = tag.split("-")[0]
        size = self.about["size"]
        images, labels = fill.batch(self.about["seed"], (self.about["batch"], 3, size, size), self.about["num_classes"])
        self.images, self.labels = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)

    def model(self) -> SpikingResNet:
        """Our network of this case, in float64, with the authors' weights."""
        model = create_model(
            f"resnet{self.about['depth']}",
            T=self.about["T"],
            num_classes=self.about["num_classes"],
            encoder="gac" if self.about["gac"] else "direct",
            layout=self.layout,
        ).double()
        load_reference(model, self.state)
        model.use(self.kernels)
        return model.to(self.device)

    def loss(self, logits: Tensor) -> Tensor:
        """What the authors' script of this data set minimises."""
        return cross_entropy(logits, self.labels, label_smoothing=0.1 if self.layout == "imagenet" else 0.0)


def seven(x: Tensor) -> list[float]:
    """Mean, population standard deviation, L2 norm and the first four values."""
    x = x.detach().double()
    return [x.mean().item(), x.std(correction=0).item(), x.norm().item(), *x.flatten()[:4].tolist()]


def as_released(model: nn.Module, layout: str) -> None:
    """Round the gradient that reaches each spike to float32, where the authors' program does."""
    if layout != "imagenet":
        return
    for module in model.modules():
        if isinstance(module, LIF):
            module.register_forward_hook(lambda _module, _inputs, spikes: rounded_in_backward(spikes))


def rounded_in_backward(spikes: Tensor) -> None:
    if spikes.requires_grad:
        spikes.register_hook(lambda gradient: gradient.float().double())


def observe(model: SpikingResNet, kept: dict[str, list[float]]) -> None:
    """Note the seven figures of each intermediate tensor, laid out [B, T, ...] as the reference has them."""
    T = model.T

    def once(x: Tensor) -> Tensor:
        return x[:, None].expand(-1, T, *x.shape[1:])

    def batch_first(x: Tensor) -> Tensor:
        return x.transpose(0, 1)

    def note(name: str, layout: Callable[[Tensor], Tensor]) -> Callable[..., None]:
        return lambda _module, _inputs, output: kept.update({name: seven(layout(output))})

    watched: list[tuple[str, nn.Module, Callable[[Tensor], Tensor]]] = [("stem", model.encoder.stem, once)]
    if hasattr(model.encoder, "temporal"):
        watched += [
            ("TA", model.encoder.temporal, lambda x: x),
            ("SCA", model.encoder.spatial_channel, once),
            ("encoding", model.encoder, batch_first),
        ]
    watched += [(f"layer{i + 1}", stage, batch_first) for i, stage in enumerate(model.stages)]
    for name, module, layout in watched:
        module.register_forward_hook(note(name, layout))


def network_checks(tag: str, device: str = "cpu", kernels: Fused | None = None) -> Iterator[Check]:
    """Every figure of one case: forward in both modes, losses, rates, gradients, BN statistics, four SGD steps."""
    case = Case(tag, device, kernels)
    numbers, model = case.numbers, case.model()
    yield relative("number of parameters", [parameter_count(model)], [case.about["nparams"]])
    key_of = {name: key for key, names in reference_names(model).items() for name in names}
    seen: dict[str, list[float]] = {}
    observe(model, seen)

    def intermediate(mode: str) -> Iterator[Check]:
        names = [key.removeprefix(f"{mode}_") for key in numbers.files if key.removeprefix(f"{mode}_") in seen]
        assert set(names) == set(seen)
        for name in names:
            yield relative(f"{name}, {mode}", seen[name], numbers[f"{mode}_{name}"])

    model.eval()
    with torch.no_grad(), firing_rates(model) as rates:
        logits = model(case.images)
    yield relative("logits, eval", logits, numbers["eval_logits"])
    yield relative("firing rates, eval", list(rates.by_layer().values()), numbers["eval_rates"])
    ce = [cross_entropy(logits, case.labels, smoothing).item() for smoothing in (0.0, 0.1)]
    yield relative("cross-entropy, plain and smoothed, eval", ce, numbers["eval_loss"])
    tets = [tet(logits, case.labels, lamb=lamb, means=1.0).item() for lamb in (0.0, 1e-3)]
    yield relative("TET loss, eval", tets, numbers["eval_tet"])
    yield from intermediate("eval")

    model.train()
    as_released(model, case.layout)
    images = case.images.clone().requires_grad_()
    with firing_rates(model) as rates:
        logits = model(images)
    loss = case.loss(logits)
    loss.backward()
    yield relative("logits, train", logits.detach(), numbers["train_logits"])
    yield relative("loss, train", [loss.item()], numbers["train_loss"])
    yield relative("firing rates, train", list(rates.by_layer().values()), numbers["train_rates"])
    yield from intermediate("train")
    assert images.grad is not None
    yield relative("gradient of the input", seven(images.grad), numbers["input_grad"])
    parameters = [dict(model.named_parameters())[key_of[name]] for name in case.about["parameters"]]
    assert len(set(map(id, parameters))) == len(list(model.parameters()))
    gradients = [p.grad for p in parameters if p.grad is not None]
    yield from norms_and_sums("gradients of parameters", gradients, numbers["param_grads"])
    statistics = [dict(model.named_buffers())[key_of[name]] for name in case.about["bn_stats"]]
    yield from norms_and_sums("BN statistics after a step", statistics, numbers["bn_after"])

    model = case.model().train()
    as_released(model, case.layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-5)
    losses = []
    for _ in range(len(numbers["sgd_losses"])):
        loss = case.loss(model(case.images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    yield relative("losses of 4 SGD steps", losses, numbers["sgd_losses"])
    parameters = [dict(model.named_parameters())[key_of[name]] for name in case.about["parameters"]]
    yield from norms_and_sums("parameters after 4 SGD steps", parameters, numbers["params_after"])


def unit_checks() -> Iterator[Check]:
    """Neurons, threshold ties, codes and CutMix boxes."""
    units = np.load(GOLDEN / "units.npz")
    for name in ("cifar", "imagenet"):
        for T in (1, 4, 6, 8):
            current = torch.from_numpy(units[f"x_T{T}"]).transpose(0, 1).contiguous().requires_grad_()
            spikes = LIF(**NEURONS[name])(current)
            if name == "imagenet":
                rounded_in_backward(spikes)
            spikes.backward(torch.from_numpy(units[f"g_T{T}"]).transpose(0, 1))
            assert current.grad is not None
            theirs = units[f"{name}_spikes_T{T}"]
            yield relative(f"{name} neuron, spikes, T={T}", spikes.detach().transpose(0, 1), theirs)
            theirs = units[f"{name}_xgrad_T{T}"]
            yield relative(f"{name} neuron, gradient, T={T}", current.grad.transpose(0, 1), theirs)
        grid = LIF(**NEURONS[name])(torch.from_numpy(units["grid_x"]).transpose(0, 1).contiguous()).transpose(0, 1)
        yield relative(f"{name} neuron, spikes at threshold ties", grid, units[f"grid_{name}_spikes"])
    pixels = torch.from_numpy(units["unit"])
    for T in (4, 6, 8):
        for curve in ("linear", "log"):
            code = latency_code(pixels, T, curve)
            yield relative(f"latency code, {curve}, T={T}", code, units[f"latency_{curve}_T{T}"])
        yield relative(f"phase code, T={T}", phase_code(pixels, T), units[f"phase_T{T}"])
    ours = [cutmix_box(int(w), int(h), lam, int(cx), int(cy)) for w, h, lam, cx, cy, *_ in units["cutmix"]]
    yield relative("CutMix boxes", ours, units["cutmix"][:, 5:])


def page(cases: dict[str, list[Check]]) -> str:
    """The text of docs/fidelity.md."""
    worst = max(check.worst for checks in cases.values() for check in checks)
    count = sum(check.numbers for checks in cases.values() for check in checks)
    lines = [
        "# Fidelity: our numbers against the authors' programs",
        "",
        "Written by `python tests/parity/fidelity.py`; `pytest tests/parity/test_fidelity.py` asserts each line.",
        "",
        f"{count:,} numbers in float64, computed by the authors' released programs on made-up weights, were compared",
        f"with ours. The worst relative difference is {worst:.1e}; the limit is {LIMIT:.0e}.",
        f"(torch {torch.__version__}, Python {platform.python_version()}, CPU.)",
        "",
        "- A difference is relative to the number itself; that of a sum is relative to the L2 norm of what is summed",
        "  where that is larger, because some sums are zero but for rounding.",
        "- Neurons (spikes and gradients), codes and CutMix boxes agree in every bit.",
        "- The ImageNet program keeps its spikes in float32, so that autograd rounds the gradient that reaches each",
        "  spike to float32. For those rows the same rounding is put into our network. Without it the differences of",
        "  the gradients are float32's own, some 1e-7.",
        "- The stem and the gate's SCA are computed once here and T times there.",
    ]
    for tag, checks in cases.items():
        lines += ["", f"## {tag}", "", "| figure | numbers | worst relative difference |", "|---|--:|--:|"]
        lines += [f"| {what} | {numbers:,} | {f'{worst:.1e}' if worst else '0'} |" for what, numbers, worst in checks]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = {"units": list(unit_checks())}
    for tag in NETWORKS:
        found[tag] = list(network_checks(tag))
        print(f"{tag}: worst {max(check.worst for check in found[tag]):.1e}", flush=True)
    home = Path(__file__).parents[2] / "docs" / "fidelity.md"
    home.parent.mkdir(exist_ok=True)
    write_text(home, page(found))
    print(f"-> {home}")
