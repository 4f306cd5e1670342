"""Files that are whole or not there."""

import signal
from pathlib import Path
from typing import IO

import pytest

from gacsnn.errors import InputError
from gacsnn.runtime.files import check_name, write_text, write_whole


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old, and longer than the new one")
    write_text(path, "nü\n")
    assert path.read_bytes() == b"n\xc3\xbc\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("there_before", [True, False])
def test_a_writer_that_raises_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException], there_before: bool
) -> None:
    path = tmp_path / "best.pt"
    if there_before:
        path.write_bytes(b"old")

    def writer(file: IO[bytes]) -> None:
        file.write(b"half")
        file.flush()
        raise error("disk full")

    with pytest.raises(error):
        write_whole(path, writer)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("best.pt", b"old")] * there_before


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"old")
    seen: list[bytes] = []

    def writer(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        seen.append(path.read_bytes())

    write_whole(path, writer)
    assert (seen, path.read_bytes()) == ([b"old"], b"new")


def test_ctrl_c_while_a_file_is_written_comes_after_it(tmp_path: Path) -> None:
    def slow(file: IO[bytes]) -> None:
        file.write(b"first half, ")
        signal.raise_signal(signal.SIGINT)
        file.write(b"second half")

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", slow)
    assert (tmp_path / "file").read_bytes() == b"first half, second half"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", [256 * "x", f"new/{256 * 'x'}/run", 128 * "é", 100 * f"{50 * 'x'}/", "a\0b"])
def test_what_can_be_no_path_is_refused_before_its_folders_are_there(name: str) -> None:
    with pytest.raises(InputError, match=r"^output_dir=.*: is no path that there could be"):
        check_name("output_dir", Path(name))


@pytest.mark.parametrize("name", [255 * "x", "new/run", "été", "setup.cfg/run", ""])
def test_what_can_be_a_path_is_none_yet_or_is_one(name: str) -> None:
    check_name("output_dir", Path(name))
