"""Accuracy by class and what is taken for what: files, tables, the picture."""

import logging
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from program import read_csv
from shown import confusion, write_run

from gacsnn.report import heat
from gacsnn.report.by_class import (
    PAIRS,
    SHOWN,
    Confusion,
    by_class,
    class_table,
    heat_map,
    mistakes,
    read_confusion,
    show,
    write_by_class,
)
from gacsnn.report.run_page import write_page
from gacsnn.runtime.run_dir import RunDirectory

SVG = "{http://www.w3.org/2000/svg}"

# Of four cats one is taken for a dog, of four dogs two for cats and one for a <b>, of which there is no image.
ANIMALS = Confusion(["cat", "dog", "<b>"], {(0, 0): 3, (0, 1): 1, (1, 1): 1, (1, 0): 2, (1, 2): 1})


def test_each_class_has_its_accuracy_and_its_most_frequent_mistake() -> None:
    cat, dog, none = by_class(ANIMALS)
    assert (cat.images, cat.correct, cat.top1, cat.mistaken, cat.mistaken_images) == (4, 3, 75.0, "dog", 1)
    assert (dog.images, dog.correct, dog.top1, dog.mistaken, dog.mistaken_images) == (4, 1, 25.0, "cat", 2)
    assert (none.images, none.top1, none.mistaken) == (0, None, "")


def test_it_is_written_and_read_back_and_of_pairs_only_those_that_occur(tmp_path: Path) -> None:
    run_dir = RunDirectory(tmp_path)
    assert read_confusion(run_dir) is None
    write_by_class(ANIMALS, run_dir)
    assert read_confusion(run_dir) == ANIMALS
    assert [line["top1"] for line in read_csv(run_dir.classes_path)] == ["75.0", "25.0", ""]
    assert [line["most_taken_for"] for line in read_csv(run_dir.classes_path)] == ["dog", "cat", ""]
    pairs = [(line["class"], line["predicted"], line["images"]) for line in read_csv(run_dir.confusion_path)]
    assert pairs == [
        ("cat", "cat", "3"),
        ("cat", "dog", "1"),
        ("dog", "cat", "2"),
        ("dog", "dog", "1"),
        ("dog", "<b>", "1"),
    ]
    write_by_class(ANIMALS, RunDirectory(tmp_path / "second", writes=False))
    assert not (tmp_path / "second").exists(), "the second of several processes"


def test_the_terminal_shows_the_worst_ones(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.INFO, "gacsnn"):
        show(ANIMALS, RunDirectory(tmp_path))
        show(confusion(30), RunDirectory(tmp_path))
    few, many = (message.splitlines() for message in caplog.messages)
    assert few[1] == f"by class, the worst first; all in {tmp_path}/classes.csv, and the confusion matrix beside it"
    assert [line.split() for line in few[3:]] == [
        ["dog", "4", "25.00", "cat", "(2)"],
        ["cat", "4", "75.00", "dog", "(1)"],
    ]
    assert many[1].startswith(f"the worst {SHOWN} of 30 classes")
    assert len(many) == 3 + SHOWN
    accuracies = sorted(one.top1 for one in by_class(confusion(30)) if one.top1 is not None)
    assert [float(re.findall(r" (\d+\.\d\d) ", line)[0]) for line in many[3:]] == accuracies[:SHOWN]


def test_the_tables_of_the_page_have_all_classes_and_the_most_frequent_mistakes() -> None:
    assert [row[0].text for row in class_table(ANIMALS).rows] == ["dog", "cat"]
    table = mistakes(ANIMALS)
    assert table is not None
    assert [cell.text for cell in table.rows[0]] == ["dog", "cat", "2", "50.0"]
    assert len(class_table(confusion(1000, 5)).rows) == 1000
    assert len(getattr(mistakes(confusion(1000, 5)), "rows", [])) == PAIRS
    assert mistakes(Confusion(["a"], {(0, 0): 3})) is None, "there is none"


def cells(root: ElementTree.Element, look: int) -> list[str]:
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == f"cells look{look}"]
    return [
        part for group in groups for path in group.iter(f"{SVG}path") for part in path.get("d", "").split("z") if part
    ]


def test_the_picture_has_a_cell_for_each_pair_and_numbers_where_there_is_room() -> None:
    root = ElementTree.fromstring(heat.draw(heat_map(ANIMALS), alone=True))
    assert (len(cells(root, 0)), len(cells(root, 1))) == (2, 3)
    assert [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "value"] == [
        "75",
        "25",
        "50",
        "25",
        "25",
    ]
    assert "dog taken for <b>: 25 %" in [title.text for title in root.iter(f"{SVG}title")]
    root = ElementTree.fromstring(heat.draw(heat_map(confusion(100)), alone=True))
    assert len(cells(root, 0)) == 100
    assert len(cells(root, 1)) == len(confusion(100).counts) - 100
    assert not [text for text in root.iter(f"{SVG}text") if text.get("class") == "value"]


def test_of_many_classes_several_are_one_row_and_no_image_is_lost() -> None:
    made = heat_map(confusion(1000, 5))
    assert len(made.names) == 100
    assert "10 classes that follow each other are one row" in made.source
    for row in range(100):
        assert sum(value for (there, _), value in made.cells.items() if there == row) == pytest.approx(100)
    inside = sum(count for (a, b), count in confusion(1000, 5).counts.items() if a // 10 == b // 10 == 7)
    assert made.cells[7, 7] == pytest.approx(100 * inside / 50)


def test_the_page_of_a_measurement_shows_it_and_stays_small(tmp_path: Path) -> None:
    for classes, most in ((10, 60_000), (100, 150_000), (1000, 500_000)):
        run_dir = write_run(tmp_path / str(classes), 0)
        write_by_class(confusion(classes, 50), run_dir)
        write_page(run_dir, [])
        page = run_dir.page_path.read_text()
        assert ">Confusion matrix</text>" in page
        assert "The most frequent mistakes" in page
        assert "automobile &lt;" in page
        assert len(page) < most
    plain = write_run(tmp_path / "training")
    write_page(plain, [])
    assert "Class by class" not in plain.page_path.read_text()
