"""The page of a run, made of its files."""

import logging
from pathlib import Path

import pytest
from program import config
from shown import RESULT, write_run

from gacsnn.report import run_page
from gacsnn.report.run_page import write_page
from gacsnn.runtime.run_dir import RunDirectory


def written(run_dir: RunDirectory, *given: str) -> str:
    write_page(run_dir, given)
    return run_dir.page_path.read_text()


def test_it_shows_curves_result_rates_energy_options_and_where_it_comes_from(tmp_path: Path) -> None:
    page = written(write_run(tmp_path / "a run"), "T", "optimizer", "experiment")
    for title in ("Top-1 by epoch", "Loss by epoch", "Learning rate by epoch", "Firing rate by epoch"):
        assert f">{title}</text>" in page
    for text in (
        "91.25 %", "1 min 23 s", "0.00147 mJ", "0.0057 mJ per image", "668,974 per image", "best top-1 on the validation split",
        "4.6 pJ a multiply-accumulate", RESULT["git_commit"], "a processor, 1 threads", "python 3.11.7, gacsnn 0.1.0",
    ):  # fmt: skip
        assert text in page, text
    assert '<td class="r" style="--heat: 60%">30.0</td>' in page, "30 % where the highest rate is 50 %"
    assert ">589.8</td>" in page, "thousands of MACs"
    given = page[page.index("Given on the command line") : page.index("<details>")]
    assert given.count("<dt>") == 2
    assert "<dt>T</dt><dd>2</dd>" in given
    assert "<dt>optimizer.name</dt><dd>adamw</dd>" in given
    assert "<dt>dataset.validation</dt>" in page[page.index("<details>") :]
    assert "http" not in page


def test_a_run_without_test_split_epochs_or_layers_has_a_page_too(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "r", 0, top1=None, top5=None, loss=None, split="validation", train_seconds=None)
    run_dir.energy_path.unlink()
    page = written(run_dir)
    assert "top-1 on the validation split" in page
    assert "90.50 %" in page
    assert not any(title in page for title in ("Curves", "Firing rates,", "layer by layer", "command line", "None"))


def test_layers_that_are_silent_or_saturated_are_listed_where_the_result_names_them(tmp_path: Path) -> None:
    odd = {"silent": [{"layer": "stages.0.0.lif1", "step": 1, "rate": 0.0}], "saturated": []}
    page = written(write_run(tmp_path / "r", **odd))
    assert "Layers that are silent" in page
    assert "saturated" not in page
    assert "Layers" not in written(write_run(tmp_path / "s"))


def test_run_page_with_warnings_shows_each_as_text(tmp_path: Path) -> None:
    page = written(write_run(tmp_path / "r", warnings=["top-1 is at chance", "class <b>"]))
    for text in ("top-1 is at chance", "class &lt;b&gt;"):
        assert f"<p><strong>Warning:</strong> {text}</p>" in page
    assert "Warning" not in written(write_run(tmp_path / "s"))


def test_what_a_user_names_is_text(tmp_path: Path) -> None:
    page = written(write_run(tmp_path / "<script>alert(1)<", selected_by="<b>me</b>", dataset="<i>"))
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_made_up_images_are_named_as_such() -> None:
    assert "SYNTHETIC DATA" in run_page.heading(config("dataset=synthetic"))
    assert "SYNTHETIC" not in run_page.heading(config())


def test_a_page_that_fails_is_a_warning_and_the_result_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_dir = write_run(tmp_path / "r")
    run_dir.energy_path.write_text("no,csv\n1,2\n")
    with caplog.at_level(logging.WARNING, "gacsnn"):
        write_page(run_dir, None)
    (said,) = caplog.messages
    assert said.startswith(f"{run_dir.page_path} was not written: KeyError")
    assert run_dir.read_result() == RESULT
    assert not list(run_dir.path.glob("*report*"))


def test_a_page_goes_with_its_result(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "r")
    assert "91.25 %" in written(run_dir)
    run_dir.write_result({**RESULT, "top1": 12.5})
    assert not run_dir.page_path.exists()
    assert "12.50 %" in written(run_dir, "T")
    run_dir.truncate_after(1)
    assert not run_dir.page_path.exists()
    other = RunDirectory(run_dir.path, writes=False)
    write_page(other, None)
    assert not run_dir.page_path.exists(), "the second of several processes"
