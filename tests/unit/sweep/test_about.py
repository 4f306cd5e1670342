"""A study whose files are damaged is one line, and stays as it is."""

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from gacsnn.errors import InputError
from gacsnn.report.study import show
from gacsnn.sweep.about import is_begun, read_about, write_about
from gacsnn.sweep.storage import load_study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    study = optuna.create_study(study_name="s", storage=f"sqlite:///{folder / 'study.db'}", direction="maximize")
    study.set_user_attr("identity", {"T": 4})
    for value in range(5):
        trial = study.ask({"T": optuna.distributions.IntDistribution(1, 8)})
        trial.set_user_attr("run", str(value))
        study.tell(trial, float(value))
    write_about(folder, {"study": "s", "storage": None, "objectives": ["validation_top1"]})
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    for name in ("study.db", "study.json"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    return tmp_path


def run_sql(text: str) -> Callable[[Path], object]:
    def run(path: Path) -> None:
        with sqlite3.connect(path) as database:
            database.execute(text)
        database.close()

    return run


def flip(path: Path) -> None:
    content, generator = bytearray(path.read_bytes()), random.Random(0)
    for _ in range(len(content) // 50):
        content[generator.randrange(4096, len(content))] ^= 0xFF
    path.write_bytes(content)


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def of_another(path: Path) -> None:
    path.unlink()
    optuna.create_study(study_name="other", storage=f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: os.truncate(path, 5000), "the study's file is damaged"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "the study's file is damaged"),
        (lambda path: path.write_bytes(b""), "the study's file is empty"),
        (lambda path: path.write_text("no database"), "the study's file is damaged (file is not a database)"),
        (flip, "the study's file is damaged"),
        (run_sql("DROP TABLE trials"), "the study's file is damaged: it lacks the table trials"),
        (run_sql("UPDATE studies SET study_name = 'x'"), "has no study s"),
        (run_sql("UPDATE trial_user_attributes SET value_json = '{'"), "is damaged (JSONDecodeError: "),
        (run_sql("UPDATE study_user_attributes SET value_json = '{'"), "is damaged (JSONDecodeError: "),
        (run_sql("UPDATE trial_params SET distribution_json = '{}'"), "is damaged ("),
        (run_sql("UPDATE trials SET state = 'ASLEEP'"), "is damaged ("),
        (
            run_sql("UPDATE alembic_version SET version_num = 'v9'"),
            "cannot be reached (RuntimeError: The runtime optuna version",
        ),
        (instead(os.mkdir), "the study's file is a folder"),
        (instead(os.mkfifo), "the study's file is no file"),
        (instead(lambda _: None), "is not there"),
        (of_another, "has no study s"),
    ],
)
def test_a_damaged_database_is_one_line_and_nothing_is_made_of_it(
    folder: Path, damage: Callable[[Path], object], said: str
) -> None:
    assert len(load_study(folder)[0].trials) == 5
    damage(folder / "study.db")
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(InputError) as refused:
        load_study(folder)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"study": 3, "storage": null, "objectives": ["top1"]}', '{"study": "s", "objectives": []}',
     '{"study": "s", "objectives": [1]}', '{"study": "s", "storage": 4, "objectives": ["top1"]}', "\x00\xff"],
)  # fmt: skip
def test_a_damaged_study_json_is_one_line(folder: Path, text: str) -> None:
    (folder / "study.json").write_text(text)
    with pytest.raises(InputError, match=r"its study.json is damaged: .* given again, writes it anew"):
        load_study(folder)
    assert is_begun(folder, "s"), "the study is looked for before a new one takes its runs"


def test_a_folder_holds_the_trials_of_one_study(folder: Path, tmp_path: Path) -> None:
    assert is_begun(folder, "s")
    assert not is_begun(tmp_path / "new", "s")
    with pytest.raises(InputError, match="holds the trials of study s, and not of other; give another folder"):
        is_begun(folder, "other")
    with pytest.raises(InputError, match="no sweep in this folder"):
        read_about(tmp_path / "new")


def test_flipped_bits_are_shown_or_refused_and_nothing_else(folder: Path) -> None:
    content = (folder / "study.db").read_bytes()
    refused: list[str] = []
    for seed in range(15):
        generator, damaged = random.Random(seed), bytearray(content)
        for _ in range(generator.choice([1, 40, 200])):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        (folder / "study.db").write_bytes(damaged)
        try:
            show(folder)
        except InputError as error:
            refused.append(str(error))
    assert 2 < len(refused) <= 15
    assert not [line for line in refused if "\n" in line]
