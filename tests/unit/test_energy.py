"""Firing rates and operations against counts by hand, the arithmetic of both accounts, and the published figures."""

import math
import re
from contextlib import suppress
from typing import NamedTuple

import pytest
import torch
from networks import fabricated, small, uniform
from torch import Tensor, nn

from gacsnn.config.schema import Energy
from gacsnn.energy import Row, count_macs, energy_account, extremes, firing_rates, never_fire, totals
from gacsnn.models import SpikingResNet, create_model
from gacsnn.neuron import LIF

# Firing rates


class Two(nn.Module):
    """A layer that no one calls, one that fires where the input exceeds 1, one fed with a part of its spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = LIF()
        self.second = LIF(threshold=0.5)
        self.first = LIF()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)[:, :, :1])


def test_rates_are_spikes_over_sites_of_all_calls() -> None:
    model = Two()
    with firing_rates(model) as rates:
        model(torch.tensor([[[2.0, 0.0, 2.0, 0.0]], [[0.0, 0.0, 2.0, 0.0]]]))  # 3 of 8, then 1 of 2
        model(torch.tensor([[[0.0]], [[2.0]]]))  # 1 of 2, then 1 of 2
    assert rates.by_layer() == {"first": 4 / 10, "second": 2 / 4}
    assert list(rates.by_layer()) == ["first", "second"]
    assert rates.mean() == 6 / 14
    assert rates.by_step() == {"first": [2 / 5, 2 / 5], "second": [1 / 2, 1 / 2]}


def test_nothing_is_counted_outside_the_context_even_after_an_error() -> None:
    model = Two()
    with firing_rates(model) as rates:
        pass
    with suppress(KeyboardInterrupt), firing_rates(model) as broken:
        model(torch.full((1, 1, 2), 2.0))
        raise KeyboardInterrupt
    before = broken.mean()
    model(torch.zeros(1, 1, 2))
    assert rates.mean() == 0
    assert rates.by_layer() == {}
    assert broken.mean() == before == 1
    assert not any(module._forward_hooks for module in model.modules())


def rates_of(model: SpikingResNet) -> dict[str, list[float]]:
    with torch.no_grad(), firing_rates(model) as rates:
        model.eval()(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    return rates.by_step()


def test_a_layer_that_never_fires_and_one_that_always_does_are_named_with_their_steps() -> None:
    model = small(encoder="direct", T=3)
    model.get_submodule("stages.1.0.lif2").threshold = 1e9
    nn.init.constant_(model.get_submodule("stages.2.0.bn1").bias, 50.0)
    rates = rates_of(model)
    found = extremes(model, rates)
    assert [place for place in found["silent"] if place["layer"] == "stages.1.0.lif2"] == [
        {"layer": "stages.1.0.lif2", "step": step, "rate": 0.0} for step in (1, 2, 3)
    ]
    assert {"layer": "stages.2.0.lif2", "step": 1, "rate": 1.0} in found["saturated"]
    assert found["silent_by_construction"] == []
    for name, wanted in (("silent", lambda rate: rate < 0.001), ("saturated", lambda rate: rate > 0.95)):
        places = {(layer, t + 1) for layer, steps in rates.items() for t, rate in enumerate(steps) if wanted(rate)}
        assert {(place["layer"], place["step"]) for place in found[name]} == places


def test_a_rate_at_the_bound_is_neither() -> None:
    model = small(T=4)
    found = extremes(model, {"head.lif": [0.001, 0.00099, 0.95, 0.9501]})
    assert found["silent"] == [{"layer": "head.lif", "step": 2, "rate": 0.00099}]
    assert found["saturated"] == [{"layer": "head.lif", "step": 4, "rate": 0.9501}]


def test_the_spikes_of_a_code_are_the_images_and_not_a_layers() -> None:
    assert extremes(small(encoder="latency"), {"encoder.coding": [0.0, 1.0]})["silent"] == []


@pytest.mark.parametrize(
    ("neuron", "T", "steps"),
    [
        ({"decay": 0.5, "threshold": 1.0}, 3, [1]),
        ({"decay": 0.5, "threshold": 1.0}, 1, [1]),
        ({"decay": 0.5, "threshold": 1.5}, 3, [1, 2]),  # 1 + 0.5 is not above 1.5
        ({"decay": 0.5, "threshold": 2.0}, 3, [1, 2, 3]),
        ({"decay": 0.25, "threshold": 0.5}, 3, []),
    ],
)
def test_behind_the_gate_the_first_layer_cannot_fire_at_first_whatever_the_weights(
    neuron: dict[str, float], T: int, steps: list[int]
) -> None:
    model = small(T=T, neuron=neuron).double()
    # As far as weights can go: every neuron of the encoder fires at every step, and the gate is wide open.
    nn.init.constant_(model.get_submodule("encoder.stem.1").bias, 1e4)
    for name, parameter in model.encoder.named_parameters():
        if name.startswith(("temporal", "spatial_channel")):
            nn.init.constant_(parameter, 1.0)
    with torch.no_grad(), firing_rates(model) as rates:
        model.eval()(torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    found = rates.by_step()["stages.0.0.lif1"]
    assert never_fire(model) == ({"stages.0.0.lif1": steps} if steps else {})
    assert all(found[step - 1] == 0 for step in steps)
    assert len(steps) == T or found[len(steps)] == 1, "at the next step it can"
    assert never_fire(small(encoder="direct", T=T, neuron=neuron)) == {}


def test_every_spiking_layer_of_a_network_is_counted() -> None:
    model = create_model("resnet8", T=3, num_classes=4, width=1 / 16).eval()
    with firing_rates(model) as rates:
        model(torch.randn(2, 3, 8, 8))
    assert next(iter(rates.by_layer())) == "encoder.lif"
    assert list(rates.by_layer())[-1] == "head.lif"
    assert len(rates.by_layer()) == 1 + 2 * 3 + 1
    assert rates.neuron_steps["encoder.lif"] == 3 * 2 * 4 * 8 * 8
    assert rates.neuron_steps["head.lif"] == 3 * 2 * 32 * 2 * 2
    assert all(0 <= rate <= 1 for rate in rates.by_layer().values())


def test_rates_are_counted_in_lower_precision_without_rounding() -> None:
    model = create_model("resnet8", T=2, num_classes=4, width=1 / 16).eval().to(torch.bfloat16)
    seen: list[Tensor] = []
    model.encoder.lif.register_forward_hook(lambda _module, _inputs, spikes: seen.append(spikes))
    nn.init.constant_(model.encoder.stem[1].bias, 1.0)
    with torch.no_grad(), firing_rates(model) as rates:
        model(torch.randn(3, 3, 33, 31, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16))
    exact = [int((step > 0).sum()) for step in seen[0]]
    assert rates.spikes["encoder.lif"].tolist() == exact
    assert min(exact) > 256, "more than bfloat16 can count"


# Operations


ONCE = Energy(mac_pj=4.6, ac_pj=0.9, encoder="once")
AS_RELEASED = Energy(mac_pj=4.6, ac_pj=0.9, encoder="repeated")


class Size(NamedTuple):
    """A network of SPEC section 3: stem kernel, sides of the stem's output, (width, blocks, side) of each stage."""

    layout: str
    name: str
    side: int
    classes: int
    kernel: int
    after_stem: int
    stages: list[tuple[int, int, int]]


CIFAR18 = Size("cifar", "resnet18", 32, 10, 3, 32, [(128, 3, 32), (256, 3, 16), (512, 2, 8)])
IMAGENET18 = Size("imagenet", "resnet18", 224, 1000, 7, 112, [(64, 2, 56), (128, 2, 28), (256, 2, 14), (512, 2, 7)])
IMAGENET34 = Size("imagenet", "resnet34", 224, 1000, 7, 112, [(64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)])


def by_hand(size: Size, T: int) -> dict[str, int]:
    """Multiply-accumulates of an image, the encoder once: outputs of each layer times weights of each output."""
    places = size.after_stem**2
    macs = {
        "stem": 64 * places * 3 * size.kernel**2,
        "sca": 2 * 64 * places * 64 * 4 * 4,
        "ta": 2 * (T * (T // 2) + (T // 2) * T),  # mean and maximum
        "products": 2 * T * 64 * places,
        "head": T * 512 * size.classes,
    }
    channels = 64
    for index, (width, blocks, side) in enumerate(size.stages):
        places = T * side**2
        macs[f"main {index + 1}"] = places * 9 * width * (channels + (2 * blocks - 1) * width)
        macs[f"shortcut {index + 1}"] = places * channels * width  # each stage's first block, and no other
        channels = width
    return macs


def full_size(size: Size, T: int, encoder: str = "gac") -> SpikingResNet:
    with torch.device("meta"):
        return create_model(size.name, T=T, num_classes=size.classes, encoder=encoder, layout=size.layout)


def stage_of(row: Row) -> str:
    """Where SPEC's table counts a row: a shortcut to its stage."""
    return f"stage {int(row.layer.split('.')[1]) + 1}" if row.part == "shortcuts" else row.part


@pytest.mark.parametrize("T", [1, 2, 4, 6])
@pytest.mark.parametrize("size", [CIFAR18, IMAGENET18, IMAGENET34], ids=["cifar18", "imagenet18", "imagenet34"])
def test_operations_are_those_counted_by_hand(size: Size, T: int) -> None:
    macs = count_macs(full_size(size, T), (size.side, size.side))
    expected = by_hand(size, T)

    def counted(pattern: str) -> int:
        return sum(count for layer, count in macs.items() if re.fullmatch(pattern, layer))

    assert counted(r"encoder\.stem\.0") == expected["stem"]
    assert counted(r"encoder\.spatial_channel\.conv[12]") == expected["sca"]
    if T > 1:  # at T=1 the hidden layer has one unit, not T // 2
        assert counted(r"encoder\.temporal\..*") == expected["ta"]
    assert counted(r"encoder\.products") == expected["products"]
    assert counted(r"head\.linear") == expected["head"]
    for index in range(len(size.stages)):
        assert counted(rf"stages\.{index}\.\d+\.conv[12]") == expected[f"main {index + 1}"]
        assert counted(rf"stages\.{index}\.\d+\.shortcut\.\d") == expected[f"shortcut {index + 1}"]
    assert sum(macs.values()) == sum(expected.values()) + (2 * 2 if T == 1 else 0)


# SPEC section 5, GMAC an image: stem, gate and stages as released, then all as released and all with the encoder once.
PUBLISHED = [
    (CIFAR18, 4, [0.007, 0.537, 3.355, 3.355, 2.147], 9.40, 8.99),
    (CIFAR18, 6, [0.011, 0.805, 5.033, 5.033, 3.221], 14.10, 13.42),
    (IMAGENET18, 4, [0.472, 6.577, 1.901, 1.644, 1.644, 1.644], 13.88, 8.60),
    (IMAGENET18, 6, [0.708, 9.865, 2.852, 2.466, 2.466, 2.466], 20.83, 12.02),
    (IMAGENET34, 4, [0.472, 6.577, 2.826, 3.494, 5.344, 2.569], 21.28, 16.00),
    (IMAGENET34, 6, [0.708, 9.865, 4.239, 5.241, 8.015, 3.854], 31.92, 23.11),
]


@pytest.mark.parametrize(
    ("size", "T", "parts", "released", "once"), PUBLISHED, ids=[f"{s.layout}-{s.name}-{T}" for s, T, *_ in PUBLISHED]
)
def test_operations_are_those_of_the_published_table(
    size: Size, T: int, parts: list[float], released: float, once: float
) -> None:
    model = full_size(size, T)
    for options, total in ((AS_RELEASED, released), (ONCE, once)):
        rows = energy_account(model, (size.side, size.side), uniform(model, 0.1), **options.model_dump())
        table_rows = [row for row in rows if ".temporal." not in row.layer and row.layer != "encoder.products"]
        columns = dict.fromkeys(["stem", "gate", *(f"stage {i + 1}" for i in range(len(size.stages)))], 0)
        for row in table_rows:
            if row.part != "head":
                columns[stage_of(row)] += row.macs
        times = 1 if options is AS_RELEASED else T
        expected = [parts[0] / times, parts[1] / times, *parts[2:]]
        assert [count / 1e9 for count in columns.values()] == pytest.approx(expected, abs=6e-4)
        assert sum(row.macs for row in table_rows) / 1e9 == pytest.approx(total, abs=6e-3)


def test_counting_leaves_the_network_as_it_was() -> None:
    model = small(encoder="poisson", T=3).train()
    model.head.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    count_macs(model, (8, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("name", "encoder", "layout", "options"),
    [
        ("resnet8", "gac", "cifar", {"gate": "image", "kernel": 8}),
        ("resnet18", "direct", "imagenet", {}),
        ("resnet104", "gac", "imagenet", {}),
        ("max_resnet18", "gac", "cifar", {}),
        ("resnet104", "phase", "imagenet", {}),
    ],
)
def test_every_layer_with_weights_is_a_row_of_what_it_does(
    name: str, encoder: str, layout: str, options: dict[str, object]
) -> None:
    model = small(name, encoder, layout, encoder_options=options).eval()
    seen: dict[str, int] = {}
    for layer, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inner = module.weight.numel() // module.weight.shape[0]
            module.register_forward_hook(
                lambda _module, _inputs, output, layer=layer, inner=inner: seen.update({layer: output.numel() * inner})
            )
    model(torch.zeros(1, 3, 17, 13))
    rows = energy_account(model, (17, 13), fabricated(model), **ONCE.model_dump())
    assert {row.layer: row.macs for row in rows if row.layer != "encoder.products"} == seen
    assert len(rows) == len(seen) + (encoder == "gac")


# The two accounts


def account_by_hand(
    model: SpikingResNet, macs: dict[str, int], rates: dict[str, list[float]], options: Energy
) -> dict[str, tuple[float, float]]:
    """(paper, full) in millijoules of every layer, said once more."""
    coded = "encoder.coding" in rates
    mac, ac = options.mac_pj * 1e-12 * 1e3, options.ac_pj * 1e-12 * 1e3
    found = {}
    for layer, once in macs.items():
        repeated = options.encoder == "repeated" and not coded and layer.startswith(("encoder.stem", "encoder.spatial"))
        count = once * (model.T if repeated else 1)
        home = layer.rpartition(".")[0]
        mean = {name: math.fsum(steps) / model.T for name, steps in rates.items()}
        if layer == "encoder.stem.0" and coded:
            found[layer] = (ac * count * mean["encoder.coding"],) * 2
        elif layer.startswith("encoder.stem"):
            found[layer] = (mac * count, mac * count)
        elif layer.startswith("encoder"):
            found[layer] = (0.0, mac * count)
        elif layer == "head.linear":
            found[layer] = (ac * count * mean["head.lif"], mac * count)
        elif ".shortcut." in layer:
            found[layer] = (ac * count * mean[f"{home.removesuffix('.shortcut')}.lif1"], mac * count)
        else:
            found[layer] = (ac * count * mean[f"{home}.lif{layer[-1]}"],) * 2
    return found


@pytest.mark.parametrize("options", [ONCE, AS_RELEASED, Energy(mac_pj=0.25, ac_pj=7.0, encoder="repeated")], ids=str)
@pytest.mark.parametrize(
    ("name", "encoder", "layout"),
    [
        ("resnet8", "gac", "cifar"),
        ("resnet8", "direct", "cifar"),
        ("resnet18", "gac", "imagenet"),
        ("resnet104", "phase", "imagenet"),
        ("max_resnet18", "latency", "cifar"),
        ("resnet8", "poisson", "cifar"),
    ],
)
def test_both_accounts_are_what_their_descriptions_say(name: str, encoder: str, layout: str, options: Energy) -> None:
    model = small(name, encoder, layout, T=3)
    rates = fabricated(model)
    rows = energy_account(model, (16, 16), rates, **options.model_dump())
    expected = account_by_hand(model, count_macs(model, (16, 16)), rates, options)
    assert [row.layer for row in rows] == list(expected)
    for row in rows:
        assert (row.paper_mj, row.full_mj) == pytest.approx(expected[row.layer], rel=1e-12), row
    sums = totals(rows)
    assert sums["energy_mj"] == pytest.approx(sum(paper for paper, _ in expected.values()), rel=1e-12)
    assert sums["energy_full_mj"] == pytest.approx(sum(full for _, full in expected.values()), rel=1e-12)
    assert sums["macs"] == sum(row.macs for row in rows)


def test_every_row_says_what_it_reads_and_which_spikes_stand_for_its_input() -> None:
    model = small()
    rates = fabricated(model)
    rows = {row.layer: row for row in energy_account(model, (8, 8), rates, **ONCE.model_dump())}
    said = {layer: (row.part, row.input, row.spiking_layer) for layer, row in rows.items()}
    assert said == {
        "encoder.stem.0": ("stem", "real values", ""),
        "encoder.temporal.mlp.0": ("gate", "real values", ""),
        "encoder.temporal.mlp.2": ("gate", "real values", ""),
        "encoder.spatial_channel.conv1": ("gate", "real values", ""),
        "encoder.spatial_channel.conv2": ("gate", "real values", ""),
        "encoder.products": ("gate", "real values", "encoder.lif"),
        **{
            f"stages.{i}.0.{layer}": row
            for i in range(3)
            for layer, row in {
                "shortcut.0": ("shortcuts", "membrane potential", f"stages.{i}.0.lif1"),
                "conv1": (f"stage {i + 1}", "spikes", f"stages.{i}.0.lif1"),
                "conv2": (f"stage {i + 1}", "spikes", f"stages.{i}.0.lif2"),
            }.items()
        },
        "head.linear": ("head", "mean of spikes", "head.lif"),
    }
    for row in rows.values():
        assert row.rates == (rates[row.spiking_layer] if row.spiking_layer else [])
        mean = None if not row.rates else sum(row.rates) / 2
        assert row.firing_rate == (None if mean is None else pytest.approx(mean))
        assert row.sops == (pytest.approx(row.macs * mean) if row.input == "spikes" and mean else 0)


@pytest.mark.parametrize("encoder", ["poisson", "latency", "phase"])
def test_the_stem_of_a_code_is_accumulated_at_every_step(encoder: str) -> None:
    model, static = small(encoder=encoder, T=3), small(encoder="direct", T=3)
    rates = fabricated(model)
    for options in (ONCE, AS_RELEASED):
        stem = energy_account(model, (8, 8), rates, **options.model_dump())[0]
        assert (stem.layer, stem.input, stem.spiking_layer) == ("encoder.stem.0", "spikes", "encoder.coding")
        assert stem.macs == 3 * count_macs(static, (8, 8))["encoder.stem.0"]
        assert stem.sops == pytest.approx(stem.macs * sum(rates["encoder.coding"]) / 3)
        assert stem.paper_mj == stem.full_mj == pytest.approx(0.9e-9 * stem.sops)


def test_a_silent_network_costs_its_stem_and_gate() -> None:
    model = small(T=3)
    rows = energy_account(model, (8, 8), uniform(model, 0.0), **ONCE.model_dump())
    assert totals(rows)["sops"] == 0
    assert totals(rows)["energy_mj"] == pytest.approx(4.6e-9 * rows[0].macs)
    multiplied = sum(row.macs for row in rows if row.part in ("stem", "gate", "shortcuts", "head"))
    assert totals(rows)["energy_full_mj"] == pytest.approx(4.6e-9 * multiplied)


# Published: millijoules an image, and the mean firing rate that it implies.
IMPLIED = [
    (IMAGENET18, 4, 1.49, 0.154),
    (IMAGENET18, 6, 2.34, 0.195),
    (IMAGENET34, 4, 2.20, 0.129),
    (IMAGENET34, 6, 3.38, 0.148),
]


@pytest.mark.parametrize(("size", "T", "published", "rate"), IMPLIED, ids=[f"{s.name}-{T}" for s, T, *_ in IMPLIED])
def test_the_implied_firing_rates_give_the_published_energies(
    size: Size, T: int, published: float, rate: float
) -> None:
    model = full_size(size, T)

    def paper(rate: float) -> float:
        return totals(energy_account(model, (size.side, size.side), uniform(model, rate), **ONCE.model_dump()))[
            "energy_mj"
        ]

    spread = 0.0005 * (paper(1.0) - paper(0.0)) + 0.005  # both figures are rounded
    assert paper(rate) == pytest.approx(published, abs=spread)
    by_formula = 4.6e-9 * by_hand(size, T)["stem"] + 0.9e-9 * rate * sum(
        count for part, count in by_hand(size, T).items() if part.startswith(("main", "shortcut", "head"))
    )
    assert paper(rate) == pytest.approx(by_formula, rel=1e-12)


def test_the_released_gate_alone_costs_more_than_the_published_totals() -> None:
    model = full_size(IMAGENET18, 4)
    rows = energy_account(model, (224, 224), uniform(model, 0.154), **AS_RELEASED.model_dump())
    gate = sum(row.full_mj for row in rows if row.part == "gate")
    once = sum(
        row.full_mj
        for row in energy_account(model, (224, 224), uniform(model, 0.154), **ONCE.model_dump())
        if row.part == "gate"
    )
    assert gate == pytest.approx(4.6 * 6.577, rel=2e-3)
    assert once == pytest.approx(7.6, abs=0.05)
    assert totals(rows)["energy_full_mj"] > gate > 1.49
