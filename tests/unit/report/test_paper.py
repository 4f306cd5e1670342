"""Runs in the published layout: which are averaged, what stands beside them, what is left out."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import Launch, config, pixels_of, read_csv, refused

from gacsnn.errors import InputError
from gacsnn.models import create_model
from gacsnn.report.paper import MissedError, show
from gacsnn.report.published import known, published
from gacsnn.report.rows import Row, rows_of
from gacsnn.report.runs import Run, collect
from gacsnn.runtime.console import speak
from gacsnn.runtime.run_dir import RunDirectory

CIFAR = ("experiment=cifar10_gac_r18_t4", "dataset.root=data")
RESULT: dict[str, Any] = {
    **{
        "top1": 95.0,
        "top5": 99.0,
        "loss": 0.2,
        "firing_rate": 0.15,
        "energy_mj": 1.2,
        "energy_full_mj": 3.4,
        "sops": 1e6,
    },
    **{
        "params": 12_630_000,
        "epochs": 2,
        "selected_by": "best",
        "validation_top1": 96.0,
        "split": "test",
        "images": 10,
    },
    **{"train_seconds": 1.0, "images_per_second": 10.0, "git_commit": "abc", "device": "cpu", "config_hash": "x"},
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A run directory as a training leaves it: by the name of its folder, its options, and what its result says."""

    def made(name: str, *options: str, **result: Any) -> Path:
        run_dir = RunDirectory(tmp_path / "runs" / name)
        run_dir.checkpoints.mkdir(parents=True)
        run_dir.write_config(config(*options))
        for epoch in (1, 2):
            run_dir.append_metrics({"epoch": epoch, "validation_top1": 40.0 * epoch, "train_top1": 30.0})
        run_dir.write_result({**RESULT, **result})
        return run_dir.path

    return made


def table(tmp_path: Path) -> list[dict[str, str]]:
    show([tmp_path / "runs"], None, None)
    return read_csv(tmp_path / "runs" / "report" / "table.csv")


def test_seeds_are_averaged_and_the_published_figure_stands_beside_them(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    top1s = [96.0, 96.5, 96.4]
    for seed, top1 in enumerate(top1s):
        write(f"{seed}", *CIFAR, f"seed={seed}", top1=top1)
    (row,) = table(tmp_path)
    assert (row["data"], row["network"], row["encoder"], row["T"]) == ("cifar10", "resnet18", "gac", "4")
    assert float(row["top1_mean"]) == pytest.approx(statistics.fmean(top1s))
    assert float(row["top1_sd"]) == pytest.approx(statistics.stdev(top1s))
    assert (row["top1_n"], row["seeds"], row["published_top1"]) == ("3", "0;1;2", "96.24")
    assert float(row["difference"]) == pytest.approx(statistics.fmean(top1s) - 96.24)
    assert "arXiv 2308.06582" in row["source"]
    assert [Path(path).name for path in row["runs"].split(";")] == ["0", "1", "2"]
    shown = (tmp_path / "runs" / "report" / "table.md").read_text()
    assert "96.30 ± 0.26" in shown
    assert "+0.06" in shown
    standing = [
        line.split("|")[1].strip()
        for line in shown.partition("Published top-1 on cifar10")[2].splitlines()
        if "|" in line
    ]
    assert standing[2:] == [
        *("Max-ResNet-18", "STAA-SNN", "GAC-resnet18", "GAC-resnet18", "GAC-resnet18", "GAC-resnet18")
    ]
    assert pixels_of(tmp_path / "runs" / "report" / "curves.png").std() > 0


def test_runs_of_other_settings_are_other_rows_which_say_by_what(tmp_path: Path, write: Write) -> None:
    write("a", *CIFAR, "seed=0")
    write("b", *CIFAR, "seed=1")
    write("c", *CIFAR, "seed=2", "optimizer.lr=0.05")
    write("d", *CIFAR, "seed=2", "optimizer.lr=0.05", "epochs=100")
    write("e", *CIFAR, "seed=2", "T=6")
    rows = table(tmp_path)
    settings = {Path(row["runs"].split(";")[0]).name: row["settings"] for row in rows}
    assert settings == {
        "a": "optimizer.lr=0.1 epochs=250",
        "c": "optimizer.lr=0.05 epochs=250",
        "d": "optimizer.lr=0.05 epochs=100",
        "e": "optimizer.lr=0.1 epochs=250",
    }
    assert sorted(row["top1_n"] for row in rows) == ["1", "1", "1", "2"]


def test_run_of_the_faithful_preset_is_a_row_whose_epoch_was_picked_by_the_test_split(
    tmp_path: Path, write: Write
) -> None:
    write("sound", *CIFAR, "seed=0")
    write("faithful", *CIFAR, "seed=0", "preset=faithful")
    rows = table(tmp_path)
    assert {Path(row["runs"]).name: row["selected_by"] for row in rows} == {"sound": "validation", "faithful": "test"}
    shown = (tmp_path / "runs" / "report" / "table.md").read_text()
    assert "epoch by test: the epoch was picked on the test split" in shown


def test_copies_and_folders_are_other_data_and_have_nothing_published(tmp_path: Path, write: Write) -> None:
    folder = ("dataset=image_folder", "model=resnet18", "T=4")
    write("a", *CIFAR)
    write("b", *folder, "dataset.root=data/cifar10-jpeg")
    write("c", *folder, "dataset.root=other/cifar10-jpeg")
    write("d", "dataset=synthetic", "model=resnet18")
    rows = table(tmp_path)
    assert [row["data"] for row in rows] == ["cifar10", *["images in cifar10-jpeg/"] * 2, "synthetic data"]
    assert [bool(row["published_top1"]) for row in rows] == [True, False, False, False]
    assert [row["settings"] for row in rows[1:3]] == [f"dataset.root={root}/cifar10-jpeg" for root in ("data", "other")]
    assert "SYNTHETIC DATA" in (tmp_path / "runs" / "report" / "table.md").read_text()


def test_narrow_networks_and_parts_of_the_test_split_have_nothing_published(tmp_path: Path, write: Write) -> None:
    write("a", *CIFAR, "model.width=0.5")
    write("b", *CIFAR, "limit_eval=100")
    rows = table(tmp_path)
    assert {row["network"] for row in rows} == {"resnet18", "resnet18 x0.5"}
    assert [row["published_top1"] for row in rows] == ["", ""]


def test_what_is_left_out_is_listed_with_its_reason(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("whole", *CIFAR)
    (write("unfinished", *CIFAR) / "result.json").unlink()
    (write("damaged", *CIFAR) / "result.json").write_text('{"top1": 9')
    later = write("later", *CIFAR) / "config.yaml"
    later.write_text(later.read_text().replace("schema: ", "schema: 9"))
    write("measured", "task=evaluate", "checkpoint=x.pt")
    (write("other", *CIFAR) / ".taken_over").write_text("another")
    found = show([tmp_path / "runs"], None, None)
    assert found == {"rows": 1, "runs": 1, "left_out": 5}
    shown = (tmp_path / "runs" / "report" / "table.md").read_text()
    reasons = {
        line.split(":")[1].strip().rpartition("/")[2]: line
        for line in shown.splitlines()
        if line.startswith("- left out")
    }
    assert set(reasons) == {"unfinished", "damaged", "later", "measured", "other"}
    assert "not finished: 2 of 250 epochs" in reasons["unfinished"]
    assert "is damaged" in reasons["damaged"]
    assert "a later one is needed" in reasons["later"]
    assert "a measurement (task=evaluate), and no training" in reasons["measured"]


def test_a_row_that_misses_its_published_figure_ends_with_a_code(tmp_path: Path, write: Write) -> None:
    write("a", *CIFAR, top1=95.9)
    assert show([tmp_path / "runs"], tmp_path / "here", 0.5)["rows"] == 1
    with pytest.raises(MissedError, match=r"cifar10 resnet18 gac T=4: .* below the published") as missed:
        show([tmp_path / "runs"], tmp_path / "here", 0.3)
    assert missed.value.exit_code == 1
    assert (tmp_path / "here" / "table.tex").exists()


def test_the_command(launch: Launch, tmp_path: Path, write: Write) -> None:
    write("a", *CIFAR)
    code, out, err = launch("task=table", "runs=runs", "output_dir=table")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "table").iterdir()} == {
        "table.md",
        "table.tex",
        "table.csv",
        "curves.png",
    }
    assert launch("task=table", "runs=[runs,runs]", "output_dir=table").out == out
    code, _out, err = launch("task=table", "runs=runs", "report.tolerance=0.5", "output_dir=table")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: report.tolerance=0.5: cifar10 resnet18 gac T=4: 95.00 is 1.24 below")


def test_mistakes_are_one_line(launch: Launch, tmp_path: Path, write: Write) -> None:
    assert refused(launch, tmp_path, "task=table").startswith("task=table: runs=FOLDER says which")
    assert refused(launch, tmp_path, "task=table", "runs=nope") == "runs=nope: no such folder"
    (tmp_path / "empty").mkdir()
    assert "no run directory in it" in refused(launch, tmp_path, "task=table", "runs=empty")
    write("a", "seed=1")
    said = refused(launch, tmp_path, "task=table", "runs=runs", "report.tolerance=1")
    assert said == "report.tolerance=1: no row here has a published figure to hold it against"


def test_every_published_row_is_a_config_of_ours_with_its_parameters() -> None:
    for there in known()["rows"]:
        depth = there["model"].removeprefix("resnet")
        made = config(f"experiment={there['dataset']}_{there['encoder']}_r{depth}_t{there['T']}", "dataset.root=data")
        row = Row([Run(Path(), made, {}, [])], {}, {}, {})
        assert published(row) == there
        model = create_model(
            there["model"], T=there["T"], num_classes={"cifar10": 10, "cifar100": 100, "imagenet": 1000}[there["dataset"]],
            encoder=there["encoder"], layout=made.model.layout,
        )  # fmt: skip
        assert sum(p.numel() for p in model.parameters()) == pytest.approx(there["params"], rel=0.01)
        assert there["source"] in known()["sources"]


@settings(deadline=None)  # the first config takes a while to be composed
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.2])), min_size=1, max_size=12))
def test_runs_are_grouped_by_everything_but_the_seed(pairs: list[tuple[int, float]]) -> None:
    base = config()
    runs = []
    for index, (seed, lr) in enumerate(pairs):
        optimizer = base.optimizer.model_copy(update={"lr": lr})
        made = base.model_copy(update={"seed": seed, "optimizer": optimizer})
        runs.append(Run(Path(str(index)), made, {"top1": float(index)}, []))
    rows = rows_of(runs)
    assert sorted(run.path.name for row in rows for run in row.runs) == sorted(run.path.name for run in runs)
    for row in rows:
        (rate,) = {run.config.optimizer.lr for run in row.runs}
        assert row.differs == ({"optimizer.lr": rate} if len(rows) > 1 else {})
        seeds = {run.config.seed for run in row.runs}
        values = [statistics.fmean(run.result["top1"] for run in row.runs if run.config.seed == s) for s in seeds]
        stat = row.stat("top1")
        assert stat is not None
        assert (stat.mean, stat.n) == (pytest.approx(statistics.fmean(values)), len(values))
    assert len({row.config.optimizer.lr for row in rows}) == len(rows)


def test_rows_that_differ_in_more_than_their_steps_say_in_what(write: Write, tmp_path: Path) -> None:
    write("a", *CIFAR)
    write("b", *CIFAR, "T=6", "limit_train=600", "optimizer.lr=0.2", "seed=1")
    write("c", *CIFAR, "encoder=direct")
    write("d", "experiment=cifar100_gac_r18_t4", "dataset.root=data")
    rows = rows_of(collect([tmp_path / "runs"])[0])
    assert {row.runs[0].path.name: row.differs for row in rows} == {
        "a": {"optimizer.lr": 0.1, "limit_train": None},
        "b": {"optimizer.lr": 0.2, "limit_train": 600},
        "c": {"optimizer.lr": 0.1, "limit_train": None},
        "d": {},
    }


def test_folders_within_folders_are_found_once(tmp_path: Path, write: Write) -> None:
    write("a/b/c", *CIFAR)
    write("a/d", *CIFAR, "seed=1")
    runs, left_out = collect([tmp_path, tmp_path / "runs" / "a"])
    assert (len(runs), left_out) == (2, [])
    assert json.loads((runs[0].path / "result.json").read_text()) == runs[0].result


def test_a_damaged_run_is_left_out_where_it_was_found_and_refused_where_it_was_named(
    tmp_path: Path, write: Write
) -> None:
    write("a", *CIFAR)
    write("b", *CIFAR, "seed=1")
    damaged = tmp_path / "runs" / "b"
    (damaged / "result.json").write_text("{")
    runs, left_out = collect([tmp_path])
    assert (len(runs), [left.path for left in left_out]) == (1, [damaged])
    with pytest.raises(InputError, match=r"^runs=.*b: .*result\.json is damaged"):
        collect([tmp_path, damaged])


def test_a_file_in_the_tables_place_is_left_as_it_is(tmp_path: Path, write: Write) -> None:
    write("a", *CIFAR)
    (tmp_path / "mine").write_text("notes")
    with pytest.raises(InputError, match=r"mine: cannot be written \(File exists\); give another folder"):
        show([tmp_path], tmp_path / "mine", None)
    assert (tmp_path / "mine").read_text() == "notes"


def test_a_seed_that_ran_twice_counts_once_and_every_format_says_so(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seeds 0, 0, 1: the mean of 95 and 97, and not of 94, 96 and 97; the deviation is that of two seeds."""
    speak()
    for name, seed, top1 in (("a", 0, 94.0), ("b", 0, 96.0), ("c", 1, 97.0)):
        write(name, *CIFAR, f"seed={seed}", top1=top1)
    (row,) = table(tmp_path)
    said = "seed 0 ran 2 times; it counts once, as their mean"
    assert (float(row["top1_mean"]), row["top1_n"], row["seeds"]) == (96.0, "2", "0;0;1")
    assert float(row["top1_sd"]) == pytest.approx(statistics.stdev([95.0, 97.0]))
    assert row["note"] == said
    assert said in capsys.readouterr().out
    report = tmp_path / "runs" / "report"
    for name in ("table.md", "table.tex"):
        text = (report / name).read_text()
        assert said in text
        assert "96.00 ± 1.41" in text.replace(r"$\pm$", "±")
    cells = next(line for line in (report / "table.md").read_text().splitlines() if "96.00" in line).split("|")
    assert "2" in [cell.strip() for cell in cells]
    assert "3" not in [cell.strip() for cell in cells]
    assert all(line.startswith("%") for line in (report / "table.tex").read_text().splitlines() if said in line)


def test_runs_of_one_seed_alone_have_no_deviation(tmp_path: Path, write: Write) -> None:
    for name, top1 in (("a", 95.0), ("b", 96.0), ("c", 97.0)):
        write(name, *CIFAR, top1=top1)
    (row,) = table(tmp_path)
    assert (float(row["top1_mean"]), row["top1_sd"], row["top1_n"]) == (96.0, "", "1")
