"""Journal files with cut lines, full disks and stale locks."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileSymlinkLock

from gacsnn.runtime.signals import uninterrupted
from gacsnn.sweep import journal
from gacsnn.sweep.journal import JournalLock
from gacsnn.sweep.storage import open_storage, open_study, stored_study


def begin(file: Path) -> optuna.Study:
    study = open_study("s", open_storage(f"journal:{file}", 60.0), ["maximize"], {})
    study.set_user_attr("first", "a" * 100)
    return study


def attributes(file: Path) -> dict[str, object]:
    url = f"journal:{file}"
    return stored_study("s", open_storage(url), url, "study").user_attrs


RECORD = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"second":2}}\n'


@pytest.mark.parametrize("cut", [b"{", RECORD[:9], RECORD[:40], RECORD[:-2], b"\0" * 70, b"\0\xff\n"])
def test_journal_with_a_cut_last_line_goes_on_and_keeps_the_line_aside(tmp_path: Path, cut: bytes) -> None:
    file = tmp_path / "j.log"
    other = begin(file)
    size = file.stat().st_size
    with file.open("ab") as opened:
        opened.write(cut)
    assert attributes(file)["first"] == "a" * 100
    assert file.stat().st_size == size + len(cut), "a reader writes nothing"
    begin(file).set_user_attr("third", 3)
    assert (tmp_path / f"j.log.cut-{size}").read_bytes() == cut
    other.set_user_attr("fourth", 4)
    assert attributes(file) | {"identity": {}} == other.user_attrs
    assert set(other.user_attrs) == {"identity", "first", "third", "fourth"}
    assert [json.loads(line)["op_code"] for line in file.read_bytes().splitlines()]


def test_last_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "j.log"
    begin(file)
    with file.open("ab") as opened:
        opened.write(RECORD[:-1])
    begin(file)
    assert attributes(file)["second"] == 2
    assert list(tmp_path.iterdir()) == [file]


def test_record_that_an_older_version_appended_to_a_cut_line_is_read(tmp_path: Path) -> None:
    file = tmp_path / "j.log"
    begin(file)
    with file.open("ab") as opened:
        opened.write(RECORD[:30] + RECORD + RECORD.replace(b"second", b"third"))
    assert attributes(file)["second"] == attributes(file)["third"] == 2
    begin(file).set_user_attr("fourth", 4)
    assert attributes(file)["fourth"] == 4


def test_line_in_the_middle_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "j.log"
    begin(file)
    with file.open("ab") as opened:
        opened.write(RECORD[:30] + b"\n" + RECORD)
    with pytest.raises(Exception, match="is no record of a journal") as refused:
        begin(file)
    assert "\n" not in str(refused.value)


def test_append_that_a_full_disk_cut_is_undone_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, write, written = tmp_path / "j.log", os.write, []

    def fill(number: int, content: bytes) -> int:
        written.append(bytes(content))
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(number, content[:20] if len(written) == 1 else content)

    study = begin(file)
    size = file.stat().st_size
    with monkeypatch.context() as full:
        full.setattr(journal.os, "write", fill)
        with pytest.raises(OSError, match="No space left"):
            journal.Journal(file).append_logs([json.loads(RECORD)])
        assert file.stat().st_size == size
        written.clear()
        study.set_user_attr("second", 2)
    assert attributes(file)["second"] == 2
    assert list(tmp_path.iterdir()) == [file]


def leave_lock(folder: Path, name: str) -> None:
    """Let a process with Optuna's own lock be killed while it holds it."""
    code = (
        "import os, sys; from optuna.storages.journal import JournalFileSymlinkLock\n"
        "JournalFileSymlinkLock(sys.argv[1]).acquire(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, name], cwd=folder, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ["j/j.log", "/j/j.log"])
def test_lock_of_a_killed_process_is_removed_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(journal, "STALE", 0.5)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "j").mkdir()
    begin(Path("j/j.log"))
    leave_lock(tmp_path, name if name.startswith("j") else f"{tmp_path}{name}")
    begin(Path("j/j.log")).set_user_attr("second", 2)
    assert attributes(Path("j/j.log"))["second"] == 2
    assert [path.name for path in (tmp_path / "j").iterdir()] == ["j.log"]


def test_ctrl_c_ends_the_wait_for_a_lock_and_leaves_the_lock(tmp_path: Path) -> None:
    study = begin(tmp_path / "j.log")
    JournalFileSymlinkLock(str(tmp_path / "j.log")).acquire()
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        study.set_user_attr("second", 2)
    assert (tmp_path / "j.log.lock").is_symlink()


def test_processes_that_append_at_once_lose_no_record(tmp_path: Path) -> None:
    file = tmp_path / "j.log"
    begin(file)
    code = (
        "import sys; from pathlib import Path; from gacsnn.sweep.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for i in range(50): journal.append_logs([dict(op_code=2, worker_id='w', study_id=0,"
        " user_attr={f'{sys.argv[2]}-{i}': i})])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, file, str(each)]) for each in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(attributes(file)) == 150 + 2


def test_release_of_a_lock_that_another_process_took_over_leaves_the_new_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "STALE", 0.2)
    suspended, successor = JournalLock(tmp_path / "j.log"), JournalLock(tmp_path / "j.log")
    suspended.acquire()
    successor.acquire()
    suspended.release()
    assert successor.link.is_symlink()
    successor.release()
    assert not successor.link.is_symlink()
