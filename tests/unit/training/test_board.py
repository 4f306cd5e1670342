"""TensorBoard's files, where they cannot be written."""

import threading
from pathlib import Path

import pytest

from gacsnn.training.board import summary_writer


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException] | None]:
    """The errors of threads that are shown."""
    seen: list[type[BaseException] | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    return seen


def test_what_its_thread_cannot_write_is_raised_and_shown_nowhere(
    tmp_path: Path, shown: list[type[BaseException] | None]
) -> None:
    def write() -> None:
        with summary_writer(tmp_path / "tensorboard", 1) as board:
            board.flush()
            (tmp_path / "tensorboard").rename(tmp_path / "elsewhere")
            for _ in range(100):
                board.add_scalar("loss", 1.0, 1)
                board.flush()

    with pytest.raises(FileNotFoundError):
        write()
    assert shown == []


def test_an_error_of_any_other_thread_is_shown(tmp_path: Path, shown: list[type[BaseException] | None]) -> None:
    with summary_writer(tmp_path / "tensorboard", 1):
        thread = threading.Thread(target=int, args=("no number",))
        thread.start()
        thread.join()
    assert shown == [ValueError]
