"""plan=true: what a run or a sweep will take, with nothing run and nothing written but the plan. And what may be spent."""

import json
from pathlib import Path

import pytest
from program import FOLDER, QUICK, SEARCH, SMALL, TINY, Launch, refused
from studies import load

from gacsnn.sweep.about import storage_beside, write_about
from gacsnn.sweep.storage import open_storage, open_study

TIMED = ("step_seconds", "evaluation_seconds", "seconds")


def test_a_run_says_what_it_will_take_and_writes_nothing(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch(*TINY, "plan=true", "epochs=5")
    assert code == 0, err
    assert not list(tmp_path.iterdir())
    said = dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)
    assert said["steps"].startswith("10 of ")  # 64 images, 32 a batch
    assert said["steps"].endswith("5 epochs of 64 images")
    assert {"evaluation", "time", "memory", "disk"} <= said.keys()


def test_max_steps_are_all_that_is_planned(launch: Launch) -> None:
    code, out, err = launch(*TINY, "plan=true", "epochs=5", "max_steps=3")
    assert code == 0, err
    assert "steps: 3 of" in out


def test_a_step_that_does_not_fit_is_not_run(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gacsnn.tasks.plan.free_memory", lambda _device: 1000)
    code, out, err = launch(*TINY, "plan=true")
    assert code == 0, err
    assert "it would not fit; try hardware.accumulate=auto or a smaller batch_size" in out
    assert "time:" not in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("task=study study=x", "plan=true: says what a training will take, and task=study is none"),
        ("resume=run", "plan=true: is for a run that begins"),
    ],
)
def test_what_cannot_be_planned_is_refused(launch: Launch, tmp_path: Path, given: str, said: str) -> None:
    assert said in refused(launch, tmp_path, "plan=true", *given.split())


def test_a_search_of_the_plain_plugin_is_not_planned(launch: Launch) -> None:
    code, out, err = launch("-m", "hydra/sweeper=optuna", *SMALL, "T=1,2", "plan=true")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: plan=true: hydra/sweeper=optuna cannot be planned")
    assert "Traceback" not in err


def test_a_plan_is_not_made_for_a_study_of_another_kind(launch: Launch, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    search = {"search of optimizer.lr": "FloatDistribution(high=0.9, log=True, low=0.5, step=None)"}
    open_study(folder.name, open_storage(storage_beside(folder)), ["maximize"], search)
    write_about(folder, {"study": folder.name, "storage": None, "objectives": ["validation_top1"]})
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, err = launch("-m", *SEARCH, "plan=true")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "the trials of this study are of another kind" in line
    assert "0.5 to 0.9, logarithmic there" in line
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_a_sweep_is_measured_where_it_matters_and_held_against_what_it_took(launch: Launch, tmp_path: Path) -> None:
    searched = ("-m", *SEARCH, "hydra.sweeper.n_trials=3")
    code, out, err = launch(*searched, "plan=true")
    assert code == 0, err
    assert [path.relative_to(tmp_path / FOLDER) for path in (tmp_path / FOLDER).rglob("*")] == [Path("plan.json")]
    plan = json.loads((tmp_path / FOLDER / "plan.json").read_text())
    assert [point["params"] for point in plan["points"]] == [{"T": 1}, {"T": 2}]
    assert all(point["figures"][name] > 0 for point in plan["points"] for name in TIMED)
    assert plan["trials"] == 3
    assert "study t_lr-digits-resnet8: 3 trials; a run takes" in out

    assert launch(*searched).code == 0
    code, out, err = launch("task=study", f"study={FOLDER}")
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if line.startswith("planned: ")]
    planned = {point["params"]["T"]: point["figures"]["seconds"] for point in plan["points"]}
    pairs = [(planned[trial.params["T"]], trial.duration.total_seconds()) for trial in load(tmp_path / FOLDER).trials]
    ratio = sum(took for _, took in pairs) / sum(said for said, _ in pairs)
    assert line.endswith(f"{ratio:.2f} x that")

    code, out, err = launch(*searched, "plan=true")
    assert code == 0, err
    assert "3 trials, 3 done" in out


def test_a_plan_of_a_sweep_with_other_options_says_nothing(launch: Launch) -> None:
    searched = ("-m", *QUICK, "hydra.sweeper.n_trials=1")
    assert launch(*searched, "plan=true", "epochs=7").code == 0
    assert launch(*searched).code == 0
    assert "plan.json is of a sweep with other options" in launch("task=study", f"study={FOLDER}").out


def test_a_sweep_with_a_mistake_is_not_planned(launch: Launch, tmp_path: Path) -> None:
    assert "encoder=gak" in refused(launch, tmp_path, "-m", *SEARCH, "plan=true", "encoder=gac,gak")


def test_a_budget_ends_a_sweep_and_more_of_it_goes_on(launch: Launch, tmp_path: Path) -> None:
    grid = ("hydra/sweeper/sampler=grid", "hydra.sweeper.test=best")
    searched, folder = ("-m", *QUICK, *grid), tmp_path / FOLDER
    code, out, err = launch(*searched, "hydra.sweeper.budget_hours=1e-6")
    assert code == 0, err
    assert "1 of 2 trials done, 1 not tried (T=2)" in out
    assert json.loads((folder / "0" / "result.json").read_text())["top1"] is None
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["0"]
    before = len(load(folder).trials)
    assert launch(*searched, "hydra.sweeper.budget_hours=1e-6").code == 0
    assert len(load(folder).trials) == before
    code, out, err = launch(*searched, "hydra.sweeper.budget_hours=1")
    assert code == 0, err
    complete = [trial.params for trial in load(folder).trials if trial.state.name == "COMPLETE"]
    assert complete == [{"T": 1}, {"T": 2}]


def test_a_sweep_whose_budget_is_spent_can_be_ended_where_it_is(launch: Launch, tmp_path: Path) -> None:
    """As the line that says so has it: with as many trials as are done it is complete, whatever the budget."""
    searched = ("-m", *SEARCH, "epochs=1", "hydra.sweeper.budget_hours=1e-6")
    code, out, err = launch(*searched, "hydra.sweeper.n_trials=3")
    assert code == 0, err
    assert "with hydra.sweeper.n_trials=1 it ends here and reads the test split" in out
    code, out, err = launch(*searched, "hydra.sweeper.n_trials=1")
    assert code == 0, err
    assert "is spent" not in out
    assert json.loads((tmp_path / FOLDER / "0" / "result.json").read_text())["top1"] is not None


def test_a_plan_keeps_a_budget_from_being_passed_by_the_first_trial(launch: Launch, tmp_path: Path) -> None:
    searched = ("-m", *QUICK, "hydra.sweeper.n_trials=2")
    assert launch(*searched, "plan=true").code == 0
    code, out, err = launch(*searched, "hydra.sweeper.budget_gpu_hours=1e-6")
    assert code == 0, err
    assert "trial 0: not started: of hydra.sweeper.budget_gpu_hours=1e-06, 0 are spent" in out
    assert "0 of 2 trials done, 2 not tried; none is complete" in out
    assert not [path for path in (tmp_path / FOLDER).iterdir() if path.is_dir()]


def test_a_budget_of_nothing_is_refused(launch: Launch, tmp_path: Path) -> None:
    assert "should be greater than 0" in refused(launch, tmp_path, "-m", *SEARCH, "hydra.sweeper.budget_hours=0")


def test_plan_without_the_images_times_synthetic_ones_and_says_so(launch: Launch) -> None:
    tiny = ("hardware=cpu", "hardware.threads=1", "T=1", "model.width=0.05", "batch_size=256", "epochs=2")
    code, out, err = launch(
        "dataset=imagenet", "dataset.root=nowhere", "dataset.size=32", "dataset.resize=32", *tiny, "plan=true"
    )
    assert code == 0, err
    assert "the images of imagenet are not here: synthetic images of the same shape were timed" in out
    assert "1,281,167 training and 50,000 test images of 1,000 classes are assumed" in out
    assert f"steps: {2 * -(-1_255_544 // 256):,} of " in out  # 2 % are held out
    assert "an epoch" in out


def test_plan_with_a_given_step_counts_with_it(launch: Launch) -> None:
    tiny = ("hardware=cpu", "hardware.threads=1", "T=1", "model.width=0.05", "batch_size=250", "epochs=2")
    given = ("dataset.validation=0", "plan_step_seconds=0.5", "plan=true")
    code, out, err = launch("dataset=cifar10", "dataset.root=nowhere", *tiny, *given)
    assert code == 0, err
    assert "a step of 250 images by 1 processes was given as 0.5 s, and not timed" in out
    assert "steps: 400 of 500 ms, 2 epochs of 50,000 images" in out
    assert "1 min 40 s an epoch" in out


def test_plan_of_a_folder_that_is_not_here_asks_for_its_numbers(launch: Launch, tmp_path: Path) -> None:
    folder = ("dataset=image_folder", "dataset.root=nowhere", "plan=true")
    assert refused(launch, tmp_path, *folder).endswith("its size is unknown; give plan_images=NUMBER")
    assert refused(launch, tmp_path, *folder, "plan_images=900").endswith("give plan_classes=NUMBER")
    assert "plan_images=900: is read by plan=true" in refused(launch, tmp_path, "plan_images=900")
