"""What workers share: cores and GPUs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gacsnn.sweep.workers import share, visible_gpus


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12))
def test_workers_share_the_cores(cores: int, count: int) -> None:
    numbers = list(range(10, 10 + cores))
    shares = [share(numbers, index, count) for index in range(count)]
    assert all(shares)
    if count <= cores:
        assert [core for one in shares for core in one] == numbers
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        assert {core for one in shares for core in one} == set(numbers)


def test_workers_are_given_the_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
