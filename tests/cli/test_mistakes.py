"""Wrong input: one clear line on standard error, exit code 2, nothing written."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from program import TINY, Launch, refused, start

from gacsnn.config.schema import AnyDataset
from gacsnn.data.splits import Splits


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("optimzer=sgd", "optimzer: no such option, did you mean optimizer?"),
        ("model.wdith=2", "model.wdith: no such option, did you mean model.width?"),
        ("+model.foo=3", "model.foo: no such option"),
        ("optimizer=sdg", "optimizer=sdg: no such optimizer, did you mean sgd?; choose one of adam, adamw, sgd"),
        ("experiment=cifar100_gac_r18_t5", "did you mean cifar100_gac_r18_t"),
        ("optimizer.momentum=0.9", "optimizer.momentum: this choice of optimizer has no such option"),
        ("T=six", "T=six: should be a valid integer"),
        ("T=0", "T=0: should be greater than or equal to 1"),
        ("optimizer.lr=-1", "optimizer.lr=-1: should be greater than 0"),
        ("batch_size=0", "batch_size=0: should be greater than or equal to 1"),
        ("T6", "T6: not an override"),
        ("T=[", "T=[: not an override"),
        ("resume=nowhere", "resume=nowhere: no such run directory"),
        ("checkpoint=nowhere.pt", "checkpoint=nowhere.pt: no such file"),
        ("task=evaluate", "task=evaluate: checkpoint=FILE says what to measure"),
        ("dataset=image_folder", "dataset.root=data/image_folder: no such folder"),
        ("dataset=imagenet", "dataset.root=data/imagenet: no such folder"),
        (
            "dataset.test=0.9999",
            "dataset.test=0.9999: 1797 of 1797 images would be held out and 0 kept, but each part needs one of each of 10",
        ),
        ("dataset.validation=0.9999", "dataset.validation=0.9999: 1437 of 1437 images would be held out and 0 kept"),
    ],
)
def test_a_wrong_argument(launch: Launch, tmp_path: Path, argument: str, said: str) -> None:
    assert said in refused(launch, tmp_path, argument)


def test_a_wrong_value_in_a_grid_is_one_line_too(launch: Launch) -> None:
    code, _, err = launch("-m", "T=0,1")
    assert (code, err) == (2, "error: T=0: should be greater than or equal to 1 (job 0 of the grid: T=0)\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_where_there_is_none(launch: Launch, tmp_path: Path) -> None:
    for many in ((), ("-m", "T=1,2"), ("-m", "sweeps=t_lr"), ("-m", "sweeps=t_lr", "hydra.sweeper.n_jobs=2")):
        assert "hardware=cuda: PyTorch finds no CUDA device here" in refused(launch, tmp_path, *many, "hardware=cuda")
    for many in ((), ("-m", "T=1,2"), ("-m", "sweeps=t_lr")):
        said = refused(launch, tmp_path, *many, "hardware.cuda_graphs=true")
        assert "hardware.cuda_graphs=true: there is no GPU; hardware.cuda_graphs=auto does without" in said


def test_a_run_directory_that_holds_a_run_or_cannot_be_written(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "held" / "checkpoints").mkdir(parents=True)
    (tmp_path / "held" / "checkpoints" / "last.pt").write_text("")
    (tmp_path / "file").write_text("")
    assert "resume=held goes on with it" in refused(launch, tmp_path, "output_dir=held")
    assert "file is a file" in refused(launch, tmp_path, "output_dir=file/run")
    assert "cannot be written" in refused(launch, tmp_path, "output_dir=/proc/run")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("encoder.gate=both", "encoder.gate=both: should be 'stem' or 'image'"),
        ("encoder.kernel=0", "encoder.kernel=0: should be greater than or equal to 1"),
        ("encoder.curve=log", "encoder.curve"),
    ],
)
def test_a_wrong_option_of_an_encoder_is_one_line(launch: Launch, argument: str, said: str) -> None:
    code, _, err = launch(argument)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_a_data_folder_that_is_empty_or_whose_parts_differ(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    arguments = ("dataset=image_folder", f"dataset.root={jpegs}")
    (tmp_path / "empty").mkdir()
    assert "holds no class folders" in refused(launch, tmp_path, arguments[0], "dataset.root=empty")
    (jpegs / "train" / "dog").mkdir()
    assert "no image in the class folders dog; taken for images are .jpg, " in refused(launch, tmp_path, *arguments)
    Image.new("RGB", (16, 16)).save(jpegs / "train" / "dog" / "0.png")
    assert "must hold the same classes; only one of them has dog" in refused(launch, tmp_path, *arguments)


def test_a_folder_of_test_images_only_is_refused(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    (jpegs / "train").rename(tmp_path / "elsewhere")
    code, _, err = launch(*TINY, "dataset=image_folder", f"dataset.root={jpegs}")
    assert code == 2
    assert "holds val/ but no train/" in err


def test_an_image_that_cannot_be_decoded_is_named_before_any_work_and_skipped_only_if_asked(
    launch: Launch, tmp_path: Path, jpegs: Path
) -> None:
    bad = jpegs / "train" / "bee" / "07.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    arguments = (*TINY, "dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=16")
    assert f"{bad} cannot be decoded as an image" in refused(launch, tmp_path, *arguments)
    code, out, _ = launch(*arguments, "dataset.bad_images=skip", "output_dir=run")
    assert code == 0
    assert f"skipped: {bad}" in out
    assert "53 training" in out, "one in 60 is bad, a tenth is held out"


def test_a_bad_image_that_was_not_looked_for_stops_the_run_by_name(launch: Launch, tmp_path: Path, jpegs: Path) -> None:
    for bad in (jpegs / "val").rglob("*.jpg"):
        if bad.name != "00.jpg":  # the first of a class is looked at
            bad.write_bytes(b"no image")
    arguments = (*TINY, "dataset=image_folder", f"dataset.root={jpegs}", "dataset.size=16", "hardware.workers=1")
    code, _, err = launch(*arguments, "dataset.check_images=false", "output_dir=run")
    assert code == 2
    assert err.count("\n") == 1
    assert f"error: {jpegs / 'val' / 'ant' / '01.jpg'} cannot be decoded as an image" in err
    assert (tmp_path / "run" / "checkpoints" / "last.pt").exists()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("code was run"),)  # as `refused` would see


@pytest.mark.usefixtures("tiny")
def test_a_checkpoint_that_is_none(launch: Launch, tmp_path: Path) -> None:
    whole = (tmp_path / "run" / "checkpoints" / "best.pt").read_bytes()
    (tmp_path / "short.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("not a checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"evil": Evil()}, tmp_path / "zipped.pt")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    for name in ("short", "text", "empty", "evil", "zipped", "other"):
        said = refused(launch, tmp_path, "task=evaluate", f"checkpoint={name}.pt")
        assert said.startswith(f"checkpoint={name}.pt: ")
    for many in (("T=1,2",), ("sweeps=t_lr",)):
        assert refused(launch, tmp_path, "-m", *many, "checkpoint=short.pt").startswith(
            "checkpoint=short.pt: this file is"
        )
    told = refused(launch, tmp_path, "-m", "T=2,4", *TINY[:-1], "checkpoint=run/checkpoints/best.pt")
    assert told.startswith("checkpoint=run/checkpoints/best.pt: T is 2 there and 4 here"), "and not when its turn comes"


@pytest.mark.usefixtures("tiny")
def test_a_checkpoint_of_another_architecture(launch: Launch, tmp_path: Path) -> None:
    checkpoint = "checkpoint=run/checkpoints/best.pt"
    for argument, said in (
        ("T=4", "T is 2 there and 4 here"),
        ("model.width=0.1", "model.width is 0.05 there and 0.1 here"),
        ("encoder=direct", "encoder.name is gac there and direct here"),
        ("neuron=imagenet", "neuron.decay is 0.5 there and 0.25 here"),
        ("dataset=synthetic", "for 10 classes (0, 1, 2, ...), and dataset=synthetic has 10 (class0"),
    ):
        assert said in refused(launch, tmp_path, "task=evaluate", checkpoint, argument)
    said = refused(launch, tmp_path, *TINY, checkpoint, "model.width=0.1")
    assert "of another architecture: " in said
    assert "differ in shape: encoder.stem.0.weight is [3, 3, 3, 3] there and [6, 3, 3, 3] here" in said


def closed(folder: Path) -> None:
    """Not to be looked into by anyone but root, who is told to be as anyone, here."""
    folder.mkdir()
    folder.chmod(0)


@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="root may look into everything")
@pytest.mark.parametrize(
    "arguments",
    ["output_dir=shut/x", "resume=shut", "checkpoint=shut/x.pt", "task=study study=shut/x",
     "dataset=image_folder dataset.root=shut", "-m sweeps=t_lr hydra.sweep.dir=shut/in/x",
     *(pytest.param(each, marks=pytest.mark.slow) for each in (
         "rerun=shut/x", "task=table runs=shut", "dataset=cifar10 dataset.root=shut/x", "-m T=1,2 hydra.sweep.dir=shut/x"))],
)  # fmt: skip
def test_what_one_may_not_look_into_is_said_so(tmp_path: Path, arguments: str) -> None:
    closed(tmp_path / "shut")
    as_anyone = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    process = start(tmp_path, *arguments.split(), before=as_anyone)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out.count("\n")) == (2, 1), out
    assert out.startswith("error: ")
    assert "no permission" in out


def test_links_to_nowhere_and_to_themselves(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "outputs").symlink_to(tmp_path / "not" / "mounted")
    assert "outputs is a link to nowhere" in refused(launch, tmp_path, *TINY)
    assert "outputs is a link to nowhere" in refused(launch, tmp_path, "output_dir=outputs/x")
    assert "outputs is a link to nowhere" in refused(
        launch, tmp_path, "-m", *TINY, "T=1,2", "hydra.sweep.dir=outputs/x"
    )
    (tmp_path / "L").symlink_to("L")
    assert launch(*TINY, "output_dir=run").code == 0
    assert "output_dir=L: " in refused(launch, tmp_path, "rerun=run", "output_dir=L")


def test_options_that_a_task_does_not_read(launch: Launch, tmp_path: Path) -> None:
    for given, said in (
        ("task=table runs=. resume=x", "resume=x: is read by task=train; leave it out"),
        ("task=diff runs=[.,.] checkpoint=x", "checkpoint=x: is read by task=train and task=evaluate and task=energy"),
        ("task=diff runs=[.,.] output_dir=x", "output_dir=x: is read by"),
        ("task=benchmark checkpoint=x", "checkpoint=x: is read by"),
    ):
        assert said in refused(launch, tmp_path, *given.split())


def test_a_run_that_came_meanwhile_is_not_written_over(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process had ended its run there after the folder was looked at, and before this one's was begun."""
    assert launch(*TINY, "output_dir=first").code == 0
    before = (tmp_path / "first" / "result.json").read_bytes()
    from gacsnn.tasks import experiment

    load = experiment.load_splits

    def meanwhile(options: AnyDataset) -> Splits:
        (tmp_path / "first").rename(tmp_path / "second")
        return load(options)

    monkeypatch.setattr(experiment, "load_splits", meanwhile)
    code, _, err = launch(*TINY, "output_dir=second", "seed=1")
    assert (code, err) == (2, "error: output_dir=second: holds a run already; resume=second goes on with it\n")
    assert (tmp_path / "second" / "result.json").read_bytes() == before
    monkeypatch.undo()


def test_a_grid_whose_jobs_lie_where_runs_lie(launch: Launch, tmp_path: Path) -> None:
    assert launch(*TINY, "output_dir=g/1").code == 0
    said = refused(launch, tmp_path, "-m", *TINY, "seed=1,2", "hydra.sweep.dir=g")
    assert "output_dir=g/1: holds a run already" in said
    assert "(job 1 of the grid: seed=2)" in said
    said = refused(launch, tmp_path, "-m", *TINY, "seed=1,2", "hydra.sweep.dir=h", "hydra.sweep.subdir=x")
    assert "hydra.sweep.subdir=h/x: is that of job 0 too" in said
    said = refused(launch, tmp_path, "-m", *TINY, "output_dir=x,./x")
    assert "is that of job 0 too" in said
    assert launch("-m", *TINY, "seed=0,2", "hydra.sweep.dir=g", "hydra.sweep.subdir=${seed}").code == 0
