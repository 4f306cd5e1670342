"""Which process this one is, as its launcher says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gacsnn.errors import InputError
from gacsnn.runtime.ranks import ALONE, Rank, tasks_of, this_rank

STEP = {"SLURM_PROCID": "4", "SLURM_NTASKS": "5", "SLURM_LOCALID": "0", "SLURM_NODEID": "2", "MASTER_ADDR": "one"}


def test_without_a_launcher_it_is_alone() -> None:
    assert this_rank({}) == ALONE


def test_torchrun_says_all_four() -> None:
    said = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert this_rank(said) == Rank(3, 4, 1, 2)
    assert this_rank({**STEP, **said}) == Rank(3, 4, 1, 2), "torchrun inside of a step"


def test_srun_counts_only_with_a_place_to_meet() -> None:
    assert this_rank({name: value for name, value in STEP.items() if name != "MASTER_ADDR"}) == ALONE


@pytest.mark.parametrize(("node", "local_size"), [("0", 2), ("1", 2), ("2", 1)])
def test_srun_lists_the_tasks_of_each_node(node: str, local_size: int) -> None:
    step = {**STEP, "SLURM_NODEID": node, "SLURM_STEP_TASKS_PER_NODE": "2(x2),1"}
    assert this_rank(step) == Rank(4, 5, 0, local_size)
    assert this_rank({**step, "SLURM_NTASKS_PER_NODE": "2"}) == Rank(4, 5, 0, local_size), "that is an upper bound"


def test_srun_without_the_list_says_how_many_were_asked_for() -> None:
    assert this_rank({**STEP, "SLURM_NTASKS_PER_NODE": "2"}) == Rank(4, 5, 0, 2)
    assert this_rank(STEP) == Rank(4, 5, 0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"RANK": "one", "WORLD_SIZE": "2"},
        {"RANK": "2", "WORLD_SIZE": "2"},
        {"RANK": "-1", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "0"},
        {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "0"},
        {**STEP, "SLURM_NTASKS": "many"},
        {**STEP, "SLURM_STEP_TASKS_PER_NODE": "2(x2"},
        {**STEP, "SLURM_STEP_TASKS_PER_NODE": "5"},
        {**STEP, "SLURM_STEP_TASKS_PER_NODE": "5", "SLURM_NODEID": "first"},
    ],
)
def test_what_are_no_numbers_is_one_line(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match="should be numbers") as said:
        this_rank(wrong)
    assert all(
        f"{name}={value}" in str(said.value) for name, value in wrong.items() if name in ("RANK", "SLURM_NTASKS")
    )


def test_a_half_of_what_a_launcher_says_is_no_rank() -> None:
    for lone, missing in (("RANK", "WORLD_SIZE"), ("WORLD_SIZE", "RANK")):
        with pytest.raises(InputError, match=f"{lone}=2 and no {missing}"):
            this_rank({lone: "2"})


def listed(counts: list[int], together: list[bool]) -> str:
    """As SLURM writes it: equal neighbours as one, or, which it may do too, apart."""
    parts: list[list[int]] = []
    for count, joined in zip(counts, together, strict=True):
        if parts and parts[-1][0] == count and joined:
            parts[-1][1] += 1
        else:
            parts.append([count, 1])
    return ",".join(str(count) if times == 1 else f"{count}(x{times})" for count, times in parts)


@given(st.lists(st.tuples(st.integers(1, 3) | st.integers(1, 10**6), st.booleans()), min_size=1, max_size=40))
def test_each_node_is_found_in_slurms_list(nodes: list[tuple[int, bool]]) -> None:
    counts = [count for count, _ in nodes]
    text = listed(counts, [joined for _, joined in nodes])
    assert [tasks_of(node, text) for node in range(len(counts))] == counts
    for outside in (-1, len(counts)):
        with pytest.raises(ValueError, match="has no node"):
            tasks_of(outside, text)


def test_a_list_of_very_many_nodes_costs_nothing() -> None:
    assert tasks_of(10**12, "3,2(x999999999999),7") == 7


@given(st.text(alphabet="0123456789(x),- ", max_size=12))
def test_any_text_is_a_list_or_is_refused(text: str) -> None:
    try:
        assert tasks_of(0, text) >= 0
    except ValueError:
        assert not text.isdecimal() or not text
