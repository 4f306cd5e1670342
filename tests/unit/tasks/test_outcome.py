"""The figures that a training and an evaluation write."""

from types import SimpleNamespace
from typing import Any

import pytest
from program import config

from gacsnn.tasks import outcome
from gacsnn.training.metrics import Score

ALL_IN_ONE_CLASS = Score(10.0, 50.0, 2.3, 0.1, 1000, 1.0, {}, {(label, 0): 100 for label in range(10)})


@pytest.mark.parametrize(
    ("options", "epochs", "count"),
    [
        ((), 1, 1),
        ((), None, 1),  # weights without a training state
        ((), 0, 0),
        (("max_steps=100",), 1, 0),
        (("limit_train=64",), 1, 0),
        (("limit_eval=1000",), 1, 0),
    ],
)
def test_warning_of_chance_in_run_that_tries_program_out_is_left_out(
    options: tuple[str, ...], epochs: int | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("totals", "extremes", "provenance"):
        monkeypatch.setattr(outcome, name, lambda *_: {})
    monkeypatch.setattr(outcome, "parameter_count", lambda _: 0)
    experiment: Any = SimpleNamespace(
        config=config(*options),
        splits=SimpleNamespace(classes=[str(label) for label in range(10)]),
        model=None,
        data={},
        kernels="plain",
        machine=SimpleNamespace(describe=dict),
    )
    assert len(outcome.measured(ALL_IN_ONE_CLASS, "test", experiment, [], epochs)["warnings"]) == count
