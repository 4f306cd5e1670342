"""A GPU that has too little memory: one line from a run; in a sweep, what is tried before a trial has failed.

There need not be a GPU: what torch raises when its memory is at an end is raised by the step.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState
from program import FOLDER, SMALL, TINY, Launch
from studies import load as load_study

from gacsnn.config.saved import load
from gacsnn.sweep.claims import effective_trials
from gacsnn.training.trainer import Trainer

Fails = Callable[[Callable[[Trainer], bool]], None]


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Fails:
    """Have each step fail for which a function of the trainer says so."""
    whole = Trainer.step

    def when(condition: Callable[[Trainer], bool]) -> None:
        def step(self: Trainer, *batch: torch.Tensor) -> object:
            if condition(self):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation")
            return whole(self, *batch)

        monkeypatch.setattr(Trainer, "step", step)

    return when


def parts(trainer: Trainer) -> int:
    return trainer.model.get_submodule("stages.0.0").parts  # type: ignore[return-value]


def test_a_run_ends_in_one_line_that_says_what_to_do_and_what_is_kept(launch: Launch, fails: Fails) -> None:
    fails(lambda trainer: trainer.state.epoch == 1)
    code, _, err = launch(*TINY, "epochs=2", "output_dir=run")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: the GPU's memory is too small for batch_size=32 hardware.accumulate=1: ")
    assert (
        "hardware.accumulate=auto takes less for the same steps, a smaller batch_size takes less; epoch 1 is saved"
        in err
    )
    fails(lambda _trainer: False)
    assert launch("resume=run").code == 0


def test_one_whose_network_does_not_fit_at_all_too(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def step_memory(*_given: object) -> int:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")

    monkeypatch.setattr("gacsnn.training.memory.step_memory", step_memory)
    code, _, err = launch(*TINY, "hardware.accumulate=auto", "output_dir=run")
    assert (code, err.count("\n")) == (1, 1)
    assert "batch_size=32 hardware.accumulate=auto: a smaller batch_size takes less; nothing was saved yet" in err


def test_another_error_of_torch_is_not_taken_for_it(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_given: object) -> object:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        launch(*TINY, "output_dir=run")


def sweep(*more: str) -> tuple[str, ...]:
    grid = ("hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=2", "T=1,2", "optimizer.lr=0.002")
    return ("-m", "sweeps=t_lr", *SMALL, *grid, *more)


@pytest.mark.slow
def test_a_trial_is_tried_again_alone(launch: Launch, fails: Fails, tmp_path: Path) -> None:
    tries: list[int] = []

    def once(trainer: Trainer) -> bool:
        if trainer.config.T == 2 and trainer.state.step == 2 and not tries:
            tries.append(1)
            return True
        return False

    fails(once)
    said = launch(*sweep())
    assert said.code == 0, said.err
    failed, again = (trial for trial in load_study(tmp_path / FOLDER).trials if trial.params["T"] == 2)
    assert failed.state == TrialState.FAIL
    assert (again.state, again.user_attrs["retry_of"], again.user_attrs["remedy"]) == (
        TrialState.COMPLETE, failed.number, "alone",
    )  # fmt: skip
    assert f"trial {failed.number}: failed: GpuMemoryError: " in said.out
    assert "; it is tried again, alone; " in said.out
    assert f"trial {again.number}: going on after epoch 1" in said.out
    assert load(tmp_path / FOLDER / str(again.number) / "config.yaml").hardware.accumulate == 1


@pytest.mark.slow
def test_then_in_parts(launch: Launch, fails: Fails, tmp_path: Path) -> None:
    fails(lambda trainer: trainer.config.T == 2 and parts(trainer) < 4)
    said = launch(*sweep())
    assert said.code == 0, said.err
    study = load_study(tmp_path / FOLDER)
    tries = [trial for trial in study.trials if trial.params["T"] == 2]
    assert [trial.user_attrs.get("remedy") for trial in tries] == [None, "alone", "parts"]
    assert {trial.state for trial in effective_trials(study)} == {TrialState.COMPLETE}
    assert load(tmp_path / FOLDER / str(tries[-1].number) / "config.yaml").hardware.accumulate == 4
    assert {trial.user_attrs["config_hash"] for trial in tries} == {tries[0].user_attrs["config_hash"]}


def test_and_then_it_has_failed_with_what_was_tried(launch: Launch, fails: Fails, tmp_path: Path) -> None:
    fails(lambda trainer: trainer.config.T == 2)
    said = launch(*sweep("hydra.sweeper.max_failure_rate=0.5", "hardware.accumulate=3"))
    assert said.code == 0, said.err
    study = load_study(tmp_path / FOLDER)
    one, other = sorted(effective_trials(study), key=lambda trial: trial.params["T"])
    assert (one.state, other.state) == (TrialState.COMPLETE, TrialState.FAIL)
    assert len(study.trials) == 4
    reason = other.user_attrs["reason"]
    assert reason.endswith("; tried as it was, alone and alone, in parts")
    assert "\n" not in reason
    assert load(tmp_path / FOLDER / str(other.number) / "config.yaml").hardware.accumulate == 6
    assert launch(*sweep("hydra.sweeper.max_failure_rate=0.1", "hardware.accumulate=3")).code == 1, "it counts"
