"""resume=RUN: a run goes on, further or elsewhere, or is left as it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from program import TINY, Launch, read_metrics, read_result, refused, start, wait_for_epochs

from gacsnn.errors import InputError
from gacsnn.tasks.checks import point_to_run
from gacsnn.training import checkpoint


@pytest.mark.usefixtures("tiny")
def test_a_complete_run_is_not_run_again_but_can_go_further(launch: Launch, tmp_path: Path) -> None:
    before = (tmp_path / "run" / "result.json").read_bytes()
    code, out, _ = launch("resume=run")
    assert code == 0
    assert "this run is complete" in out
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    assert launch("resume=run", "epochs=2").code == 0
    assert [line["epoch"] for line in read_metrics(tmp_path / "run")] == [1, 2]
    assert launch("resume=run").code == 0, "the longer run is complete too"


def test_more_epochs_go_on_at_the_rate_of_the_longer_schedule(launch: Launch, tmp_path: Path) -> None:
    options = (*TINY, "scheduler=cosine_by_epoch")
    assert launch(*options, "epochs=2", "output_dir=run").code == 0
    said = launch("resume=run", "epochs=4")
    assert said.code == 0
    assert (
        "the learning rate goes on at 0.001; it stood at 0, and scheduler=cosine, over 2 epochs until now, is"
        in said.out
    )
    assert "the learning rate goes on" not in launch("resume=run", "max_steps=100", "epochs=4").out
    assert launch(*options, "epochs=4", "output_dir=whole").code == 0
    rates = [[line["lr"] for line in read_metrics(tmp_path / name)] for name in ("run", "whole")]
    assert rates[0][2:] == rates[1][2:]


def test_the_same_command_with_resume_goes_on(launch: Launch) -> None:
    command = (*TINY, "dataset=synthetic", "dataset.size=8", "output_dir=run")
    assert launch(*command).code == 0
    assert launch(*command, "resume=run", "epochs=2").code == 0


def test_a_run_may_be_moved_and_resumed_as_a_row(launch: Launch, tmp_path: Path) -> None:
    row = ("experiment=cifar10_gac_r18_t2", "dataset=digits", *TINY)
    assert launch(*row, "output_dir=run").code == 0
    (tmp_path / "run").rename(tmp_path / "moved")
    said = launch(*row, "resume=moved", "epochs=2")
    assert said.code == 0, said.err
    assert yaml.safe_load((tmp_path / "moved" / "config.yaml").read_text())["output_dir"] == "moved"


@pytest.mark.usefixtures("tiny")
def test_precision_may_change_on_the_way(launch: Launch) -> None:
    assert launch("resume=run", "epochs=2", "hardware.precision=fp16").code == 0
    assert launch("resume=run", "epochs=3", "hardware.precision=fp32").code == 0


@pytest.mark.usefixtures("tiny")
def test_a_run_that_was_stopped_in_its_first_epoch_begins_again(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints" / "last.pt").unlink()
    said = refused(launch, tmp_path, *TINY, "output_dir=run")
    assert said == "output_dir=run: result.json is there already and would be replaced; give another folder"
    for name in ("result.json", "report.html", "energy.csv"):
        (tmp_path / "run" / name).unlink()
    assert launch(*TINY, "output_dir=run").code == 0
    assert len(read_metrics(tmp_path / "run")) == 1


@pytest.mark.usefixtures("tiny")
def test_a_damaged_metrics_file_is_named(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "run" / "metrics.jsonl").write_text("garbage\n")
    code, _, err = launch("resume=run", "epochs=2")
    assert (code, err.count("\n")) == (2, 1)
    assert "metrics.jsonl is damaged" in err


def test_resume_writes_nothing_where_there_is_no_run(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert launch("resume=empty").code == 2
    assert not list((tmp_path / "empty").iterdir())


# Another process, which holds a run as one that trains does, until it is told to end.
HOLDER = """
from pathlib import Path
from gacsnn.runtime.run_dir import RunDirectory
with RunDirectory(Path("run")).lock("output_dir"):
    print("held", flush=True)
    input()
"""


@pytest.mark.usefixtures("tiny")
def test_only_one_process_writes_a_run(tmp_path: Path, launch: Launch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        code, _, err = launch("resume=run", "epochs=2")
        holder.kill()
    assert code == 2
    assert "another process is writing this run" in err
    assert launch("resume=run", "epochs=2").code == 0, "what it held went with it"


@pytest.mark.slow
def test_a_run_that_trains_is_held(tmp_path: Path, launch: Launch) -> None:
    process = start(tmp_path, *TINY, "epochs=1000", "output_dir=run")
    wait_for_epochs(tmp_path / "run", 2, process)
    code, _, err = launch("resume=run")
    process.kill()
    process.wait()
    assert code == 2
    assert "another process is writing this run" in err


@pytest.mark.usefixtures("tiny")
def test_resuming_with_what_may_not_change(launch: Launch, tmp_path: Path) -> None:
    for argument in ("T=4", "seed=1", "optimizer=sgd", "dataset=synthetic", "batch_size=8", "output_dir=other"):
        said = refused(launch, tmp_path, "resume=run", argument)
        assert (
            "only epochs, max_steps, max_minutes, save_every_minutes, keep_checkpoints, hardware, dataset.root, task.test"
            " may change" in said
        )
    said = refused(launch, tmp_path, "resume=run", "optimizer.lr=0.01")
    way = "rerun=run checkpoint=run/checkpoints/last.pt optimizer.lr=0.01"
    assert said.endswith(f"may change; a new run begins from its weights with {way}")
    assert launch(*way.split(), "output_dir=next").code == 0, "and that is right"
    assert read_result(tmp_path / "next")["epochs"] == 1
    assert refused(launch, tmp_path, "resume=run", "T=4").endswith("; a new run of it begins with rerun=run T=4")
    (tmp_path / "run" / "checkpoints" / "last.pt").unlink()
    assert "no checkpoints/last.pt in it" in refused(launch, tmp_path, "resume=run")


def test_what_lies_in_a_run_or_above_some_names_them(launch: Launch, tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "day" / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("")
    (run / "checkpoints" / "last.pt").write_text("")
    for option, inside, above in (
        ("resume", "outputs/day/run/checkpoints/last.pt", "outputs"),
        ("rerun", "outputs/day/run/checkpoints", "outputs/day"),
    ):
        assert "lies in a run" in refused(launch, tmp_path, f"{option}={inside}")
        assert "is a folder of runs" in refused(launch, tmp_path, f"{option}={above}")
    for option in ("resume", "rerun"):
        for inside in ("outputs/day/run/checkpoints/last.pt", "outputs/day/run/checkpoints"):
            said = f"{option}={inside}: lies in a run; give that: {option}=outputs/day/run"
            with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
                point_to_run(option, Path(inside))
        for above in ("outputs", "outputs/day"):
            said = f"{option}={above}: is a folder of runs; name one, such as the newest: {option}=outputs/day/run"
            with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
                point_to_run(option, Path(above))
    (run.parent / "study.json").write_text("{}")
    assert refused(launch, tmp_path, "resume=outputs/day") == (
        "resume=outputs/day: is a sweep; the command that began it (python launch.py -m ...), given again, goes on with it; "
        "resume=outputs/day/run is one of its runs"
    )
    assert refused(launch, tmp_path, "rerun=outputs/day").endswith(
        "is a sweep; rerun=outputs/day/run is one of its runs"
    )


def test_auto_begins_a_run_and_goes_on_with_the_one_of_the_same_options(launch: Launch, tmp_path: Path) -> None:
    command = (*TINY, "hardware.threads=1", "epochs=2", "resume=auto")
    assert launch(*command, "max_steps=1").code == 0, "there is nothing to go on with"
    (first,) = (tmp_path / "outputs").glob("*/*")
    assert launch(*command, "seed=1").code == 0, "another seed is another run"
    assert len(list((tmp_path / "outputs").glob("*/*"))) == 2
    code, out, _ = launch(*command, "max_steps=1")
    assert code == 0
    assert "this run is complete" in out
    assert f"resume={first.relative_to(tmp_path)}" in out
    assert launch(*command).code == 0, "without max_steps it is another run"
    assert len(list((tmp_path / "outputs").glob("*/*"))) == 3


@pytest.mark.slow
def test_auto_goes_on_with_an_interrupted_run_in_its_output_dir(launch: Launch, tmp_path: Path) -> None:
    command = (*TINY, "hardware.threads=1", "epochs=400", "output_dir=run", "resume=auto")
    process = start(tmp_path, *command)
    wait_for_epochs(tmp_path / "run", 2, process)
    process.terminate()
    process.communicate(timeout=30)
    done = len(read_metrics(tmp_path / "run"))
    process = start(tmp_path, *command)
    wait_for_epochs(tmp_path / "run", done + 2, process)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert "going on after" in out
    assert [line["epoch"] for line in read_metrics(tmp_path / "run")][: done + 1] == list(range(1, done + 2))
    code, _, err = launch(*command, "seed=5")
    assert code == 2
    assert "output_dir=run: holds a run already" in err


@pytest.mark.parametrize("saved_by", ["this version", "an older one"])
def test_a_run_does_not_go_on_with_other_images(launch: Launch, tmp_path: Path, jpegs: Path, saved_by: str) -> None:
    """With others in the folder, others would be held out, and some of the training images be validated on."""
    options = (
        "dataset=image_folder",
        f"dataset.root={jpegs}",
        "dataset.size=16",
        "dataset.validation=0.2",
        "hardware.workers=0",
    )
    assert (
        launch(*TINY, *options, "limit_train=null", "batch_size=16", "max_steps=5", "epochs=3", "output_dir=run").code
        == 0
    )
    if saved_by == "an older one":
        last = tmp_path / "run" / "checkpoints" / "last.pt"
        content = checkpoint.read(last)
        del content["images"], content["data"]
        checkpoint.save(last, content)
    shutil.copy(jpegs / "train" / "ant" / "00.jpg", jpegs / "train" / "ant" / "more.jpg")
    shutil.copy(jpegs / "train" / "ant" / "00.jpg", jpegs / "train" / "ant" / "more2.jpg")
    said = launch("resume=run", "max_steps=20")  # it has said by then how the images became splits
    assert said.code == 2
    assert "resume=run: there were 48 training images, and now there are " in said.err
    for name in ("more.jpg", "more2.jpg"):
        (jpegs / "train" / "ant" / name).unlink()
    assert launch("resume=run", "max_steps=7").code == 0


def test_resume_after_image_is_renamed_is_refused(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    options = ("dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=16", "hardware.workers=0")
    assert launch(*TINY, *options, "batch_size=16", "epochs=1", "output_dir=run").code == 0
    image = jpegs / "val" / "ant" / "00.jpg"
    image.rename(image.with_name("new.jpg"))
    said = launch("resume=run", "epochs=2")  # it has said by then how the images became splits
    assert said.code == 2
    assert "resume=run: there are 15 test images as before, but not the same ones" in said.err
    warned = launch("task=evaluate", "checkpoint=run/checkpoints/best.pt", "output_dir=measured")
    assert (warned.code, warned.out.count("not the same ones")) == (0, 1), warned.err
    assert "test images" in read_result(tmp_path / "measured")["warnings"][0]
    said = launch("rerun=run", "output_dir=again")
    assert said.code == 1
    assert "not the same: there are 15 test images as before, but not the same ones" in said.err
    image.with_name("new.jpg").rename(image)
    shutil.move(jpegs, tmp_path / "moved")
    said = launch("resume=run", "epochs=2", f"dataset.root={tmp_path / 'moved'}")
    assert (said.code, "warning" in said.out.split("epoch")[0]) == (0, False), said.err


@pytest.mark.usefixtures("tiny")
def test_resume_with_best_of_another_run_warns(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "seed=1", "output_dir=other").code == 0
    shutil.copy(tmp_path / "other" / "checkpoints" / "best.pt", tmp_path / "run" / "checkpoints" / "best.pt")
    arguments = ("checkpoint=run/checkpoints/best.pt", "limit_eval=16", "max_steps=1")
    commands = (
        ("task=evaluate", *arguments, "output_dir=measured"),
        (*TINY, *arguments, "output_dir=new"),
        ("resume=run",),
    )
    for command in commands:
        said = launch(*command)
        assert said.code == 0, said.err
        assert said.out.count("belongs to another run than its directory: seed is 0 there and 1 here") == 1, command


@pytest.mark.usefixtures("tiny")
def test_resume_with_metrics_line_missing_or_twice_says_so(launch: Launch, tmp_path: Path) -> None:
    metrics = tmp_path / "run" / "metrics.jsonl"
    line = metrics.read_text()
    metrics.write_text("")
    assert "metrics.jsonl: lacks epoch 1, which last.pt has" in launch("resume=run").out
    metrics.write_text(line + line)
    assert "a line of epoch 1 follows that of epoch 1" in refused(launch, tmp_path, "resume=run")


@pytest.mark.usefixtures("tiny")
def test_resume_after_kill_during_write_removes_temporary_file(launch: Launch, tmp_path: Path) -> None:
    left = tmp_path / "run" / ".result.json.123.tmp"
    left.touch()
    assert launch("resume=run").code == 0
    assert not left.exists()


def test_any_folder_below_outputs_is_passed_over_by_auto(launch: Launch, tmp_path: Path) -> None:
    stray = tmp_path / "outputs" / "x" / "y" / "checkpoints"
    stray.mkdir(parents=True)
    (stray / "last.pt").touch()
    assert launch(*TINY, "resume=auto").code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"steps": 2}', "result.json is damaged: it lacks top1, loss, firing_rate"),
        ('{"top1": "x"}', "result.json is damaged: it should be a run's result as JSON"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_a_result_that_lacks_something_is_damaged(launch: Launch, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "run" / "result.json").write_text(content)
    assert said in refused(launch, tmp_path, "resume=run")
    assert said in refused(launch, tmp_path, "rerun=run")
