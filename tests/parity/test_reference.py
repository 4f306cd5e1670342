"""The authors' checkpoints, under whatever of their names, are our networks' weights."""

from collections.abc import Callable, Mapping

import pytest
import torch
from fidelity import Case
from published import CASES, CIFAR4, State, groups, holds, network, ours

import gacsnn
from gacsnn import load_reference


def choose(case: Case, pick: Callable[[list[str]], str]) -> State:
    """One name of each tensor."""
    return {pick(group): case.state[pick(group)] for group in groups(case)}


@pytest.mark.parametrize("tag", CASES)
def test_all_of_the_authors_names_are_known_and_each_is_of_one_tensor(cases: Mapping[str, Case], tag: str) -> None:
    flat = [name for group in groups(cases[tag]) for name in group]
    assert len(flat) == len(set(flat))
    assert set(flat) == set(cases[tag].state)
    for group in groups(cases[tag]):
        assert group
        assert all(torch.equal(cases[tag].state[name], cases[tag].state[group[0]]) for name in group)


@pytest.mark.parametrize("tag", CASES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_loads_with_and_without_the_prefix_of_parallel_training(
    cases: Mapping[str, Case], tag: str, prefix: str
) -> None:
    model = network(cases[tag])
    load_reference(model, {prefix + name: tensor for name, tensor in cases[tag].state.items()})
    holds(model, ours(cases[tag]))
    assert gacsnn.load_reference is load_reference


@pytest.mark.parametrize("tag", CASES)
@pytest.mark.parametrize(
    "pick", [min, max, lambda group: group[0], lambda group: group[-1]], ids=["min", "max", "0", "-1"]
)
def test_any_one_name_of_a_tensor_will_do(
    cases: Mapping[str, Case], tag: str, pick: Callable[[list[str]], str]
) -> None:
    model = network(cases[tag])
    state = choose(cases[tag], pick)
    assert len(state) == len(model.state_dict())
    load_reference(model, state)
    holds(model, ours(cases[tag]))


def test_each_name_of_each_tensor_alone_will_do(cases: Mapping[str, Case]) -> None:
    """Not only the four picks above: the n-th name of all tensors, for every n."""
    case = cases[CIFAR4]
    model, expected = network(case), ours(case)
    for index in range(max(len(group) for group in groups(case))):
        load_reference(model, choose(case, lambda group, index=index: group[index % len(group)]))
        holds(model, expected)
