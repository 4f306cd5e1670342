"""How long a training will take, said once, from its first steps."""

from types import SimpleNamespace
from typing import Any

import pytest

from gacsnn.training import forecast as module
from gacsnn.training.forecast import Forecast


def said(
    monkeypatch: pytest.MonkeyPatch,
    step_seconds: float,
    evaluated: int = 0,
    **options: Any,
) -> list[str]:
    """What is said while an epoch of 20 steps of 5 images takes so long; the first step takes 7 s more."""
    lines: list[str] = []
    monkeypatch.setattr(module.log, "info", lines.append)
    config: Any = SimpleNamespace(**{"epochs": 3, "max_steps": None, "batch_size": 5, **options})
    state = SimpleNamespace(epoch=0, step=0, batch=0)
    trainer: Any = SimpleNamespace(config=config, state=state, steps_per_epoch=20, images=100)
    clock = [7.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    forecast = Forecast(trainer, evaluated)
    for step in range(1, 21):
        clock[0] += step_seconds
        state.step = state.batch = step
        if forecast.waits() or step % 10 == 0:
            forecast.look()
    return lines


def test_it_is_said_once_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, 2.0) == ["about 1 min 52 s for the 3 epochs ahead"], "after 4 of 60 steps"
    assert said(monkeypatch, 0.25) == ["about 12.5 s for the 3 epochs ahead"], "a second is waited for: 10 steps"
    assert said(monkeypatch, 0.25, epochs=1) == [], "it is soon over"
    assert said(monkeypatch, 2.0, max_steps=18) == ["about 28.0 s for the 14 steps ahead"]


def test_what_is_classified_after_each_epoch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # 3 epochs of 30 images at a third of 0.4 s: 12 s, less the part of the four steps that are done.
    assert said(monkeypatch, 2.0, evaluated=30) == ["about 2 min 03 s for the 3 epochs ahead"]
