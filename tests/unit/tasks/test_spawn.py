"""A task by several processes that this one watches."""

from pathlib import Path

import pytest
import torch
from program import TINY, config

from gacsnn.run import run
from gacsnn.tasks import spawn


def test_one_that_waits_for_an_answer_when_all_are_stopped_saves_and_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes while this process, which alone can answer, is at work on what an epoch has said."""
    codes: list[int | None] = []
    end = spawn.end

    def noted(members: list[spawn.Member]) -> None:
        codes.extend(member.process.poll() for member in members)
        end(members)

    def interrupted(_line: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(spawn, "end", noted)
    options = config(*TINY, "epochs=3", "hardware.processes=2", f"output_dir={tmp_path / 'run'}")
    with pytest.raises(KeyboardInterrupt):
        run(options, on_epoch_end=interrupted)
    assert codes == [0, 0], "killed, as they had not ended"
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.pt")["train_state"]
    assert saved["epoch"] == 1
