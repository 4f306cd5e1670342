"""A study made by hand, shown in the terminal, as csv and as a page."""

import datetime
import json
import logging
import re
from pathlib import Path
from urllib.parse import unquote

import optuna
import pytest
from optuna.trial import TrialState
from shown import write_seeds, write_study

from gacsnn.report.study import show
from gacsnn.report.study_page import shown_storage

SPACE = {
    "optimizer.lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    "<b>encoder</b>": optuna.distributions.CategoricalDistribution(("=1+1", "<script>alert(1)</script>", "007")),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="s & t", storage=url, direction="maximize")
    start = datetime.datetime(2026, 1, 1)
    for number, (lr, encoder) in enumerate(zip((1e-3, 2e-2, 0.05), SPACE["<b>encoder</b>"].choices, strict=True)):  # type: ignore[attr-defined]
        trial = optuna.create_trial(
            params={"optimizer.lr": lr, "<b>encoder</b>": encoder},
            distributions=SPACE,
            value=90.123456 + number,
            user_attrs={"epochs": 5, "reason": "first\nand <i>last</i>"},
        )
        trial.datetime_start, trial.datetime_complete = start, start + datetime.timedelta(seconds=3.25 + 80 * number)
        study.add_trial(trial)
    failed = optuna.create_trial(state=TrialState.FAIL, params={}, distributions={})
    failed.datetime_start, failed.datetime_complete = start, start + datetime.timedelta(hours=5, minutes=2)
    study.add_trial(failed)
    (tmp_path / "study.json").write_text(json.dumps({"study": "s & t", "storage": url, "objectives": ["top1"]}))
    return tmp_path


def test_the_table_has_a_line_per_trial(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gacsnn"):
        assert show(folder)["best"] == [2]
    lines = caplog.messages[-1].splitlines()
    assert lines[3:8] == [
        "trial  state     optimizer.lr  <b>encoder</b>              top1  epochs        time  best  note",
        "    0  COMPLETE         1e-03  =1+1                       90.12       5       3.2 s        first and <i>last</i>",
        "    1  COMPLETE         2e-02  <script>alert(1)</script>  91.12       5  1 min 23 s        first and <i>last</i>",
        "    2  COMPLETE         5e-02  007                        92.12       5  2 min 43 s  *     first and <i>last</i>",
        "    3  FAIL                                                              5 h 02 min",
    ]
    assert lines[-1] == f"figures and study.html in {folder / 'report'}"


def test_the_csv_holds_the_values_as_they_are(folder: Path) -> None:
    show(folder)
    note = '"first\nand <i>last</i>"'
    assert (folder / "report" / "trials.csv").read_text() == (
        "trial,state,optimizer.lr,<b>encoder</b>,top1,epochs,seconds,best,note\n"
        f"0,COMPLETE,0.001,=1+1,90.123456,5,3.25,,{note}\n"
        f"1,COMPLETE,0.02,<script>alert(1)</script>,91.123456,5,83.25,,{note}\n"
        f"2,COMPLETE,0.05,007,92.123456,5,163.25,*,{note}\n"
        "3,FAIL,,,,,18120.0,,\n"
    )


def test_the_page_escapes_names_values_and_notes(folder: Path) -> None:
    show(folder)
    page = (folder / "report" / "study.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;encoder&lt;/b&gt;" in page
    assert "&lt;i&gt;last&lt;/i&gt;" in page
    assert "<h1>s &amp; t</h1>" in page
    assert not any(tag in page for tag in ("<script>alert", "<b>", "<i>"))
    assert page.count('<svg class="chart"') == 3  # history, learning rate, encoder
    names = {path.name for path in (folder / "report").glob("*.svg")}
    assert names == {"history.svg", "lr_accuracy.svg", "b_encoder_b_accuracy.svg"}


def test_a_study_without_trials_is_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(study_name="empty", storage=url)
    (tmp_path / "study.json").write_text(json.dumps({"study": "empty", "storage": url, "objectives": ["top1"]}))
    assert show(tmp_path)["best"] == []
    assert (tmp_path / "report" / "trials.csv").read_bytes() == b"\n"
    assert "no trials yet" in (tmp_path / "report" / "study.html").read_text()


def test_where_a_study_lies_is_said_without_password_and_path(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    for storage, said in ((None, "study.db"), ("postgresql://me:secret@host/db", "postgresql://me:***@host/db")):
        (tmp_path / "study.json").write_text(json.dumps({"study": "s", "storage": storage, "objectives": ["top1"]}))
        assert shown_storage(tmp_path) == said


def test_the_page_links_each_trial_to_its_run_page_where_there_is_one(folder: Path) -> None:
    """Links are relative to `report/`, so that they work from the file system, and escape what a URL would read otherwise."""
    study = optuna.load_study(study_name="s & t", storage=f"sqlite:///{folder / 'study.db'}")
    study.add_trial(optuna.create_trial(params={}, value=1.0, user_attrs={"run": "a #1 %20?"}))
    for name in ("1", "a #1 %20?"):
        (folder / name).mkdir()
        (folder / name / "report.html").write_text("a run")
    (folder / "0").mkdir()
    show(folder)
    page = (folder / "report" / "study.html").read_text()
    links = re.findall('<a href="([^"]*)">([^<]*)</a>', page)
    assert links == [("../1/report.html", "1"), ("../a%20%231%20%2520%3F/report.html", "4")]
    for link, _ in links:
        assert (folder / "report" / unquote(link)).read_text() == "a run"


def test_the_page_shows_the_test_figure_of_the_winner_if_it_was_measured(tmp_path: Path) -> None:
    write_study(tmp_path / "s", 8, runs=True)
    best = show(tmp_path / "s")["best"][0]
    path = tmp_path / "s" / str(best) / "result.json"
    page = (tmp_path / "s" / "report" / "study.html").read_text()
    assert "<dt>its test top-1, %</dt><dd>91.25<small>trial" in page
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top1": None}))
    show(tmp_path / "s")
    assert "its test top-1" not in (tmp_path / "s" / "report" / "study.html").read_text()


def test_the_page_shows_the_mean_test_figure_of_the_best_settings(tmp_path: Path) -> None:
    write_seeds(tmp_path / "s")
    show(tmp_path / "s")
    page = (tmp_path / "s" / "report" / "study.html").read_text()
    assert "<dt>its test top-1, %</dt><dd>84.50 ± 0.71" in page
