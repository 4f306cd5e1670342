"""The file of a study: where it lies, and whose it is."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from gacsnn.errors import InputError
from gacsnn.sweep.about import (
    absolute_storage,
    check_new,
    file_of,
    storage_beside,
    storage_of,
    write_about,
    written_storage,
)
from gacsnn.sweep.storage import load_study, open_storage, open_study


def make(folder: Path, typed: str | None = None) -> str:
    """Make a study as a sweep does; return its storage."""
    url = absolute_storage(typed) or storage_beside(folder)
    check_new(url)
    open_study("s", open_storage(url), ["maximize"], {}).set_user_attr("a", 1)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "study": "s",
        "storage": written_storage(absolute_storage(typed), folder),
        "objectives": ["validation_top1"],
    }
    write_about(folder, about)
    return url


@pytest.mark.parametrize(
    "name", ["a?b", "a?b=c", "a#b", "a%41b", "a%b", "it's", 'a"b', "{SCHEMA_VERSION}", "{x", "a b", "été", "a&b+c;d"]
)
def test_study_in_a_folder_of_any_name_lies_in_that_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "s"
    make(folder)
    assert {path.name for path in folder.iterdir()} == {"study.db", "study.json"}
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert load_study(folder)[0].user_attrs["a"] == 1
    make(tmp_path / "t", f"sqlite:///{tmp_path}/{name}/t.db")
    assert load_study(tmp_path / "t")[0].user_attrs["a"] == 1
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["s", "t.db"]


def test_query_of_a_sqlite_url_is_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db?timeout=20"
    assert file_of(url) == tmp_path / "t.db"
    make(tmp_path / "s", url)
    assert load_study(tmp_path / "s")[0].user_attrs["a"] == 1


@pytest.mark.parametrize("typed", ["journal:j/j.log", "sqlite:///j/t.db", "journal:runs/s/j.log"])
def test_relative_storage_is_found_from_any_folder_and_in_a_folder_that_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "runs" / "s", typed)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_study(tmp_path / "runs" / "s")[0].user_attrs["a"] == 1
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert load_study(Path("../moved/s"))[0].user_attrs["a"] == 1


def test_relative_storage_that_an_earlier_version_wrote_is_the_one_above_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for project in ("one", "two"):
        make(tmp_path / project / "runs" / "s", f"journal:{tmp_path}/{project}/j/j.log")
        about = {"study": "s", "storage": "journal:j/j.log", "objectives": ["validation_top1"]}
        (tmp_path / project / "runs" / "s" / "study.json").write_text(json.dumps(about))
    monkeypatch.chdir(tmp_path / "one")
    found = storage_of(Path("../two/runs/s"), about)
    assert Path(found.removeprefix("journal:")).samefile(tmp_path / "two" / "j" / "j.log")
    shutil.rmtree(tmp_path / "two" / "j")
    shutil.move(tmp_path / "two" / "runs", tmp_path / "runs")
    assert file_of(storage_of(tmp_path / "runs" / "s", about)) == tmp_path / "one" / "j" / "j.log", "the working folder"


def foreign(*statements: str) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        with closing(sqlite3.connect(file)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    return write


def newer(file: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{file}")
    foreign("DROP TABLE trial_heartbeats", "UPDATE alembic_version SET version_num = 'v9'")(file)


@pytest.mark.parametrize(
    ("write", "kind", "said"),
    [
        (foreign("CREATE TABLE notes (text)"), "sqlite:///", "is a database of another program: its table notes"),
        (foreign("CREATE TABLE trials (patient)"), "sqlite:///", "is a database of another program: its table trials"),
        (foreign("CREATE TABLE alembic_version (version_num)"), "sqlite:///", "is a database of another program"),
        (newer, "sqlite:///", "The runtime optuna version"),
        (lambda file: file.write_text("my notes\n" * 500), "sqlite:///", "file is not a database"),
        (lambda file: file.write_text("my notes"), "journal:", "is no journal of a study"),
        (lambda file: file.write_text('{"a": 1}\n'), "journal:", "is no journal of a study"),
        (foreign("CREATE TABLE notes (text)"), "journal:", "is no journal of a study"),
    ],
)
def test_file_of_another_program_is_refused_before_anything_is_written(
    tmp_path: Path, write: Callable[[Path], None], kind: str, said: str
) -> None:
    file = tmp_path / "f"
    write(file)
    before = file.read_bytes()
    with pytest.raises(InputError) as refused:
        make(tmp_path / "s", f"{kind}{file}")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kind", ["sqlite:///", "journal:"])
def test_empty_file_or_one_of_another_study_takes_a_new_study(tmp_path: Path, kind: str) -> None:
    (tmp_path / "f").touch()
    url = make(tmp_path / "s", f"{kind}{tmp_path / 'f'}")
    open_study("t", open_storage(url), ["maximize"], {})
    make(tmp_path / "s", url)
    assert load_study(tmp_path / "s")[0].user_attrs["a"] == 1
