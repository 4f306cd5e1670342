"""A command line that is wrong is one clear line and exit code 2, before any work; one that is right is not."""

from pathlib import Path

import pytest
from program import TINY, Launch, config, read_result, refused
from wrong import ALIKE, WRONG

from gacsnn.config.schema import Config


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(line, said, id=" ".join(line), marks=pytest.mark.slow if line in ALIKE else ())
        for line, said in WRONG.items()
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    launch: Launch, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(launch, tmp_path, *arguments)


def test_what_is_shown_is_checked(launch: Launch) -> None:
    code, out, err = launch("batch_size=-3", "--cfg", "job")
    assert (code, err) == (2, "error: batch_size=-3: should be greater than or equal to 1\n")
    assert "batch_size: -3" in out


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("optimizer.lr=1e+3", "--cfg", "job"), "lr: 1000.0"),
        (("--cfg", "job", "--package", "dataset.augment", "--resolve"), "crop_padding: "),
        (("sweeps=t_lr", "--cfg", "hydra", "--package", "hydra.sweeper"), "n_trials: 20"),
        (("--help",), "optimizer.lr"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_asks_to_be_shown_something_is_shown_it(launch: Launch, arguments: tuple[str, ...], shown: str) -> None:
    code, out, err = launch(*arguments)
    assert (code, err) == (0, "")
    assert shown in out


def test_a_folder_of_groups_of_ones_own(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "thin.yaml").write_text("defaults: [resnet8, _self_]\nwidth: 0.01\n")
    code, out, err = launch("--config-dir", "mine", "model=thin", "--cfg", "job")
    assert (code, err) == (0, "")
    assert "width: 0.01" in out


def test_a_run_is_no_folder_of_options(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    said = refused(launch, tmp_path, "--config-dir", "run")
    assert said == "--config-dir run: that is a run, whose config would not be read; rerun=run runs it again"


def test_the_environment_makes_no_trial(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("abc", "3"):
        monkeypatch.setenv("GACSNN_TRIAL", number)
        assert "T=0: should be" in refused(launch, tmp_path, "T=0")
    assert launch(*TINY, "output_dir=run").code == 0
    assert read_result(tmp_path / "run")["epochs"] == 1


def test_a_grid_that_is_right_runs(launch: Launch, tmp_path: Path) -> None:
    assert launch("-m", *TINY, "T=1,2", "output_dir=grid/T${T}").code == 0
    assert sorted(path.parent.name for path in (tmp_path / "grid").glob("*/result.json")) == ["T1", "T2"]


def test_what_papers_use_lies_within_the_ranges() -> None:
    options = ("T=4096", "epochs=1000", "batch_size=65536", "optimizer.lr=30", "model.width=10", "hardware.threads=256")
    assert isinstance(config(*options), Config)
