"""Batch norm over several processes: real ones on gloo, against torch's own of the whole batch in double precision."""

import multiprocessing
import random
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from gacsnn.batchnorm import BatchNorm2d, again, synchronise

Result = dict[str, Any]


class Case(NamedTuple):
    """A batch as the processes share it, and what is normalised of it."""

    counts: tuple[int, ...]  # images of each process
    channels: int = 3
    size: tuple[int, int] = (2, 3)
    mean: float = 0.0  # over the standard deviation, of the first channel
    scale: float = 1.0
    dtype: torch.dtype = torch.float64
    layout: str = "plain"  # or: channels_last, strided
    repeats: int = 1
    momentum: float = 0.1
    again: bool = False  # each batch a second time
    numeric: bool = False  # derivatives by differences instead
    seed: int = 0


def random_cases(processes: int) -> list[Case]:
    """Shares of any size, none included, of batches of any form; most in double precision."""
    chance = random.Random(processes)
    cases = []
    while len(cases) < 30:
        size = (chance.randint(1, 4), chance.randint(1, 3))
        counts = tuple(chance.choice((0, 1, 1, 2, 3, 5)) for _ in range(processes))
        if sum(counts) * size[0] * size[1] > 1:
            cases.append(
                Case(
                    counts,
                    channels=chance.choice((1, 2, 5)),
                    size=size,
                    mean=chance.choice((0.0, 1.0, -30.0)),
                    scale=chance.choice((1.0, 0.02, 200.0)),
                    dtype=chance.choice((torch.float64, torch.float64, torch.float32, torch.bfloat16)),
                    layout=chance.choice(("plain", "channels_last", "strided")),
                    repeats=chance.choice((1, 1, 2, 6)),
                    momentum=chance.choice((0.1, 0.5)),
                    again=chance.random() < 0.3,
                    seed=len(cases),
                )
            )
    return cases


def chosen_cases(processes: int) -> dict[str, Case]:
    """What chance may leave out."""
    last = (0,) * (processes - 1)
    even, uneven, empty = (2,) * processes, tuple(range(1, processes + 1)), (*range(2, processes + 1), 0)
    return {
        "uneven": Case(uneven),
        "an empty process": Case(empty),
        "all on one": Case((*last, 4)),
        "a pixel a process": Case((1,) * processes, size=(1, 1)),
        "one channel": Case(uneven, channels=1),
        "repeated": Case(empty, repeats=4),
        "far from zero": Case(uneven, mean=1e6, size=(8, 8)),
        "far from zero in single precision": Case(uneven, mean=1000.0, size=(8, 8), dtype=torch.float32),
        "half precision": Case(empty, dtype=torch.bfloat16, size=(8, 8)),
        "channels last": Case(even, layout="channels_last"),
        "strided": Case(uneven, layout="strided"),
        "again": Case(uneven, again=True, repeats=2),
        "one value": Case((1, *last), size=(1, 1)),
        "one value that is repeated": Case((1, *last), size=(1, 1), repeats=4),
        "no value": Case((0, *last)),
        "derivatives": Case(empty, channels=2, size=(1, 2), numeric=True),
        "derivatives by uneven shares": Case(uneven, channels=2, size=(2, 1), numeric=True),
    }


CASES = {n: chosen_cases(n) | {f"chance {case.seed}": case for case in random_cases(n)} for n in (2, 3)}
STEPS = 2


def whole(case: Case, step: int) -> tuple[Tensor, Tensor]:
    """A step's batch [B, C, H, W] of the case's type, and in double precision the gradient that comes from above."""
    generator = torch.Generator().manual_seed(1000 * case.seed + step)
    shape = (sum(case.counts), case.channels, *case.size)
    x, above = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    x[:, 0] += case.mean
    return (x * case.scale).to(case.dtype), above.to(case.dtype).double()


def laid_out(x: Tensor, layout: str) -> Tensor:
    """The same values, otherwise in memory."""
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "strided":
        wide = x.new_zeros(*x.shape[:-1], 2 * x.shape[-1]).transpose(0, 1).contiguous().transpose(0, 1)
        wide[..., ::2] = x
        return wide[..., ::2]
    return x


def prepared(norm: nn.BatchNorm2d, case: Case) -> nn.BatchNorm2d:
    """With weights of the case; in the type that they have beside such images."""
    generator = torch.Generator().manual_seed(case.seed)
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            values.copy_(torch.rand(case.channels, generator=generator).float() + 0.5)  # also exact in single precision
    norm.momentum = case.momentum
    return norm.to(torch.float64 if case.dtype == torch.float64 else torch.float32)


def own(values: Tensor, case: Case, rank: int) -> Tensor:
    return values.split(list(case.counts))[rank]


def done(case: Case, rank: int) -> Result:
    """What one process gets: its outputs and input gradients step by step, its share of the other gradients, the state."""
    norm = prepared(BatchNorm2d(case.channels, case.repeats), case)
    synchronise(norm)
    outputs, gradients = [], []
    for step in range(STEPS):
        x, above = (own(values, case, rank) for values in whole(case, step))
        x = laid_out(x.clone(), case.layout).requires_grad_()
        try:
            y = norm(x)
        except ValueError as error:
            return {"error": str(error)}
        y.backward(laid_out(above.to(case.dtype), case.layout))
        outputs.append(y.detach())
        gradients.append(x.grad)
        if case.again:
            with again():
                assert torch.equal(norm(x), y)
    return {
        "outputs": outputs,
        "gradients": gradients,
        "weight": norm.weight.grad,
        "bias": norm.bias.grad,
        "state": norm.state_dict(),
    }


def differences(case: Case, rank: int) -> Result:
    """Derivatives of sum(above * y**2) by all inputs and weights: by the backward pass, and from differences of sums."""
    norm = prepared(BatchNorm2d(case.channels), case)
    synchronise(norm)
    x, above = whole(case, 0)

    def total(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (own(values, case, rank),))
        return (own(above, case, rank) * y.square()).sum()

    points = [values.detach().requires_grad_() for values in (x, norm.weight, norm.bias)]
    exact = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(total(*points), points)])
    flat = torch.cat([point.detach().flatten() for point in points])
    step = 1e-5

    def at(moved: Tensor) -> Tensor:
        parts = moved.split([point.numel() for point in points])
        return total(*(part.view_as(point) for part, point in zip(parts, points, strict=True)))

    numeric = torch.stack([(at(flat + by) - at(flat - by)) / (2 * step) for by in torch.eye(len(flat)).double() * step])
    dist.all_reduce(exact)  # an input has its gradient on one process, a weight its share on each
    dist.all_reduce(numeric)
    return {"exact": exact, "numeric": numeric}


def member(rank: int, folder: str) -> None:
    """One of three processes: all cases of three, then all cases of the first two."""
    torch.set_num_threads(1)
    for processes in (3, 2):
        if rank < processes:
            dist.init_process_group("gloo", init_method=f"file://{folder}/{processes}", rank=rank, world_size=processes)
            results = {
                name: (differences if case.numeric else done)(case, rank) for name, case in CASES[processes].items()
            }
            torch.save(results, f"{folder}/{processes}-{rank}.pt")
            dist.barrier()
            dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Result]]]:
    """By the number of processes and the process, what each case gave."""
    folder = tmp_path_factory.mktemp("group")
    spawning = multiprocessing.get_context("spawn")
    processes = [spawning.Process(target=member, args=(rank, str(folder)), daemon=True) for rank in range(3)]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
    return {n: [torch.load(folder / f"{n}-{rank}.pt") for rank in range(n)] for n in CASES}


NORMAL = [
    (n, name)
    for n, cases in CASES.items()
    for name, case in cases.items()
    if not (case.numeric or name in ("one value", "one value that is repeated", "no value"))
]


@pytest.mark.parametrize(("processes", "name"), NORMAL)
def test_it_is_batch_norm_of_the_whole_batch(
    processes: int, name: str, results: dict[int, list[dict[str, Result]]]
) -> None:
    """Within what rounding explains.

    With u the unit roundoff in which it is computed, mean and variance err by some u * (1 + |mean| / deviation), relative to
    the deviation; so do normalised values, and gradients in proportion to what they are sums of. A variance as the difference
    of two large numbers would err by the square of that. Outputs are then rounded once to the type of the images.
    """
    case, found = CASES[processes][name], [each[name] for each in results[processes]]
    ordinary = prepared(nn.BatchNorm2d(case.channels), case).double()
    eps_in = torch.finfo(case.dtype).eps
    unit = 16 * torch.finfo(torch.promote_types(case.dtype, torch.float32)).eps
    weight_error = bias_error = torch.zeros(case.channels, dtype=torch.float64)
    relative = 0.0
    for step in range(STEPS):
        values, above = whole(case, step)
        x = values.double().requires_grad_()
        y = ordinary(x.repeat(case.repeats, 1, 1, 1))
        y.backward(above.repeat(case.repeats, 1, 1, 1) / case.repeats)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            deviation = (variance + ordinary.eps).sqrt()
            error = unit * (1 + mean.abs() / deviation)
            normalised = (x - mean.view(1, -1, 1, 1)) / deviation.view(1, -1, 1, 1)
            most, steepest = normalised.abs().amax(dim=(0, 2, 3)), above.abs().amax(dim=(0, 2, 3))
            wide = ordinary.weight * (1 + most) + ordinary.bias.abs()
            close(cat(found, "outputs", step), y[: len(x)], (error * wide).view(1, -1, 1, 1), eps_in)
            wide = ordinary.weight / deviation * steepest * (1 + most**2)
            close(cat(found, "gradients", step), x.grad, (error * wide).view(1, -1, 1, 1), eps_in)
            weight_error = weight_error + error * (1 + most) * above.abs().sum(dim=(0, 2, 3))
            bias_error = bias_error + unit * above.abs().sum(dim=(0, 2, 3))
            relative = max(relative, error.max().item())
    close(sum(each["weight"] for each in found), ordinary.weight.grad, weight_error)
    close(sum(each["bias"] for each in found), ordinary.bias.grad, bias_error)
    for each in found:
        for entry, expected in ordinary.state_dict().items():
            assert torch.equal(each["state"][entry], found[0]["state"][entry]), "the same everywhere, to the last bit"
            close(each["state"][entry], expected, relative * expected.abs().max())
        assert each["state"]["num_batches_tracked"] == STEPS


def cat(found: list[Result], what: str, step: int) -> Tensor:
    return torch.cat([each[what][step] for each in found])


def close(found: Tensor, expected: Tensor, error: Tensor, eps: float = 0.0) -> None:
    """Within an absolute error, and one rounding more."""
    assert found.shape == expected.shape
    apart = (found.double() - expected.double()).abs()
    allowed = error + eps * expected.abs()
    assert (apart <= allowed).all(), f"{apart.max()} apart"


@pytest.mark.parametrize("processes", CASES)
def test_what_one_process_has_does_not_change_its_type_or_shape(
    processes: int, results: dict[int, list[dict[str, Result]]]
) -> None:
    for name, case in CASES[processes].items():
        for rank, found in enumerate(each[name] for each in results[processes]):
            for tensor in [*found.get("outputs", []), *found.get("gradients", [])]:
                assert tensor.dtype == case.dtype, name
                assert tensor.shape == (case.counts[rank], case.channels, *case.size), name


@pytest.mark.parametrize("processes", CASES)
@pytest.mark.parametrize("name", ["derivatives", "derivatives by uneven shares"])
def test_its_gradients_are_the_slopes_of_the_sum_over_all_processes(
    processes: int, name: str, results: dict[int, list[dict[str, Result]]]
) -> None:
    for each in results[processes]:
        assert each[name]["exact"].abs().max() > 0.1
        torch.testing.assert_close(each[name]["exact"], each[name]["numeric"], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("processes", CASES)
@pytest.mark.parametrize("name", ["one value", "one value that is repeated", "no value"])
def test_one_value_a_channel_in_all_is_refused_by_every_process(
    processes: int, name: str, results: dict[int, list[dict[str, Result]]]
) -> None:
    for each in results[processes]:
        assert each[name]["error"].startswith("batch norm in training needs more than 1 value a channel")


def test_in_evaluation_it_needs_no_other_process() -> None:
    norm = prepared(BatchNorm2d(2, 3), Case((1,), channels=2)).eval()
    synchronise(norm)
    x = torch.randn(1, 2, 1, 1, dtype=torch.float64)
    ordinary = nn.BatchNorm2d(2).double().eval()
    ordinary.load_state_dict(norm.state_dict())
    assert torch.equal(norm(x), ordinary(x))


@pytest.mark.parametrize("repeats", [1, 3])
def test_alone_a_pass_done_again_leaves_the_running_statistics(repeats: int) -> None:
    norm = prepared(BatchNorm2d(2, repeats), Case((2,), channels=2))
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    first = norm(x)
    before = {name: values.clone() for name, values in norm.state_dict().items()}
    with again():
        assert torch.equal(norm(x), first)
    assert all(torch.equal(values, before[name]) for name, values in norm.state_dict().items())


@pytest.mark.parametrize("repeats", [1, 3])
def test_alone_one_value_a_channel_is_refused(repeats: int) -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNorm2d(2, repeats)(torch.ones(1, 2, 1, 1))


def test_one_frame_and_its_gradient_are_read_as_they_lie() -> None:
    """Of a view of [T, B, ...] with channels last the first stride is no dense frame's, and torch 2.14 took others for it."""
    torch.manual_seed(0)
    orders = [(768, 64, 8, 1), (768, 1, 96, 12), (12, 1, 96, 12)]
    x, g = ([torch.empty_strided(each.shape, order, dtype=each.dtype).copy_(each) for order in orders]
            for each in torch.randn(2, 1, 12, 8, 8, dtype=torch.float64))  # fmt: skip
    found = []
    for one, gradient in product(x, g):
        bn, own = BatchNorm2d(12).double(), one.detach().requires_grad_()
        bn(own).backward(gradient)
        found.append((own.grad, bn.weight.grad))
    for each in found[1:]:
        for one, other in zip(found[0], each, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-10)
