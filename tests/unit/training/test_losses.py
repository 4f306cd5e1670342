"""The losses against their formulae, summed in plain Python."""

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gacsnn.config.schema import TET, CrossEntropy
from gacsnn.training.losses import make_loss

Row = list[float]


class Batch(NamedTuple):
    logits: list[list[Row]]  # [B][T][classes]
    labels: list[int]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    size, steps, classes = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(2, 5))

    def several(inner: st.SearchStrategy, count: int) -> st.SearchStrategy:
        return st.lists(inner, min_size=count, max_size=count)

    logits = several(several(several(st.floats(-9, 9), classes), steps), size)
    return Batch(draw(logits), draw(several(st.integers(0, classes - 1), size)))


def entropy(row: Row, label: int, smoothing: float) -> float:
    """-sum_k target_k log softmax(row)_k, with target (1 - smoothing) * onehot + smoothing / classes."""
    total = math.log(sum(math.exp(value) for value in row))
    target = [smoothing / len(row) + (1 - smoothing) * (k == label) for k in range(len(row))]
    return -sum(share * (value - total) for share, value in zip(target, row, strict=True))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def measured(loss: CrossEntropy | TET, batch: Batch) -> float:
    logits = torch.tensor(batch.logits, dtype=torch.float64)
    return make_loss(loss)(logits, torch.tensor(batch.labels)).item()


@settings(max_examples=100, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.1, 0.5]))
def test_cross_entropy_is_that_of_the_logits_mean_over_time(batch: Batch, smoothing: float) -> None:
    averaged = [[mean(list(column)) for column in zip(*steps, strict=True)] for steps in batch.logits]
    expected = mean([entropy(row, label, smoothing) for row, label in zip(averaged, batch.labels, strict=True)])
    loss = CrossEntropy(name="cross_entropy", label_smoothing=smoothing)
    assert measured(loss, batch) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.05, 1.0]), st.sampled_from([1.0, -0.5]), st.sampled_from([0.0, 0.1]))
def test_tet_is_the_mean_entropy_of_the_steps_and_the_distance_from_a_constant(
    batch: Batch, lamb: float, means: float, smoothing: float
) -> None:
    pairs = zip(batch.logits, batch.labels, strict=True)
    each_step = mean([entropy(row, label, smoothing) for steps, label in pairs for row in steps])
    distance = mean([(value - means) ** 2 for steps in batch.logits for row in steps for value in row])
    loss = TET(name="tet", lamb=lamb, means=means, label_smoothing=smoothing)
    assert measured(loss, batch) == pytest.approx((1 - lamb) * each_step + lamb * distance, rel=1e-9, abs=1e-12)
