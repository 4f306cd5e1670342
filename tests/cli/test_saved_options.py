"""Options of a saved run can be named without naming its groups again."""

import shutil
from pathlib import Path

import pytest
import yaml
from program import TINY, Launch

ELSEWHERE = ("dataset.root=elsewhere", "hardware=cpu", "hardware.workers=0")


@pytest.fixture
def moved(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    """A run on class folders, `run`, whose images are `elsewhere` now."""
    arguments = ("dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=16", "dataset.resize=16")
    said = launch(*TINY, *arguments, "hardware.workers=0", "optimizer=sgd", "output_dir=run")
    assert said.code == 0, said.err
    jpegs.rename(tmp_path / "elsewhere")


def saved(folder: Path) -> dict[str, dict[str, object]]:
    return yaml.safe_load((folder / "config.yaml").read_text())


@pytest.mark.usefixtures("moved")
def test_a_measurement_finds_its_images_elsewhere(launch: Launch, tmp_path: Path) -> None:
    before = saved(tmp_path / "run")
    said = launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", *ELSEWHERE, "output_dir=again")
    assert said.code == 0, said.err
    after = saved(tmp_path / "again")
    assert after["dataset"] == {**before["dataset"], "root": "elsewhere"}
    assert after["optimizer"] == before["optimizer"]


@pytest.mark.usefixtures("moved")
def test_so_does_a_checkpoint_away_from_its_run(launch: Launch, tmp_path: Path) -> None:
    shutil.move(tmp_path / "run" / "checkpoints" / "best.pt", tmp_path / "best.pt")
    said = launch("task=energy", "checkpoint=best.pt", *ELSEWHERE, "output_dir=again")
    assert said.code == 0, said.err
    assert saved(tmp_path / "again")["dataset"]["root"] == "elsewhere"


@pytest.mark.usefixtures("moved")
def test_a_run_goes_on_with_its_images_elsewhere(launch: Launch, tmp_path: Path) -> None:
    before = saved(tmp_path / "run")
    said = launch("resume=run", "epochs=2", *ELSEWHERE)
    assert said.code == 0, said.err
    after = saved(tmp_path / "run")
    assert after["dataset"] == {**before["dataset"], "root": "elsewhere"}
    assert after["epochs"] == 2


@pytest.mark.usefixtures("moved")
def test_an_option_that_the_saved_group_lacks_is_still_refused(launch: Launch) -> None:
    code, _, err = launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "dataset.rot=elsewhere")
    assert (code, err.count("\n")) == (2, 1)
    assert "dataset.rot: no such option, did you mean dataset.root?" in err


@pytest.mark.usefixtures("moved")
def test_another_group_of_the_same_name_has_the_last_word(launch: Launch) -> None:
    code, _, err = launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "dataset=digits", "dataset.test=0.3")
    assert code == 2
    assert "and dataset=digits has 10" in err, "the classes differ; the option itself is one of digits"


def test_a_training_from_a_checkpoint_chooses_its_own_data(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "dataset=synthetic", "dataset.size=8", "output_dir=run").code == 0
    said = launch(*TINY, "checkpoint=run/checkpoints/best.pt", "dataset.test=0.3", "output_dir=next")
    assert said.code == 0, said.err
    assert saved(tmp_path / "next")["dataset"]["name"] == "digits"
