"""Figures as PNG, looked at before they are pixels."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from gacsnn.report import figures


def test_curves_are_means_with_the_range_over_seeds() -> None:
    axes = Figure().add_subplot()
    figures.curves(axes, {"a": [[10.0, 20.0], [20.0, 40.0, 50.0]], "b": [[5.0]]})
    lines = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}  # type: ignore[union-attr]
    assert lines == {"a (n=2)": [[1, 15], [2, 30]], "b (n=1)": [[1, 5]]}
    assert [line.get_marker() for line in axes.lines] == ["", "o"]  # a line through one epoch is nothing to see
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}  # type: ignore[union-attr]
    assert {(1, 10), (1, 20), (2, 20), (2, 40)} <= corners


def test_a_figure_is_written_whole(tmp_path: Path) -> None:
    path = figures.save(tmp_path / "a.png", lambda axes: axes.plot([1, 2]), size=(3, 2))
    with Image.open(path) as image:
        assert image.format == "PNG"

    def fails(axes: Axes) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        figures.save(tmp_path / "b.png", fails)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_picture_is_as_wide_as_its_labels_want(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    widths = []
    for label in ("T=2", "a very long name of " + "settings, which are " * 10):
        path = figures.save(tmp_path / "a.png", lambda axes, label=label: figures.curves(axes, {label: [[1.0, 2.0]]}))
        with Image.open(path) as image:
            widths.append(image.size[0])
    assert widths[1] > widths[0] + 200
    assert not recwarn.list
