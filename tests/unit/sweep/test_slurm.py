"""The job array that SLURM gets, and its answers, with commands in place of SLURM's own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gacsnn.errors import InputError, MachineError
from gacsnn.sweep import slurm
from gacsnn.sweep.array import last_words
from gacsnn.sweep.slurm import Task

Command = Callable[[str, str], None]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Put a shell script of that name first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name: str, text: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    return put


def script_of(**options: Any) -> list[str]:
    return slurm.script(
        {"python": "python3", **options}, 4, ["launch.py", "T=choice(1, 2)"], Path("/logs")
    ).splitlines()


def test_script_with_options_of_the_launcher_has_sbatchs_flags() -> None:
    lines = script_of(
        name="search", timeout_min=90, mem_gb=1.5, tasks_per_node=1, gpus_per_node=None, partition="a b", exclusive=True,
        array_parallelism=2, signal_delay_s=60, additional_parameters={"account": "x"}, setup=["module load cuda"],
    )  # fmt: skip
    assert lines[0] == "#!/bin/bash"
    assert {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")} == {
        *("--job-name=search", "--time=90", "--mem=1536M", "--ntasks-per-node=1", "--partition='a b'", "--exclusive"),
        *("--array=0-3%2", "--output=/logs/%A_%a.log", "--open-mode=append", "--requeue", "--signal=B:USR1@60"),
        "--account=x",
    }
    assert "module load cuda" in lines
    assert "srun --kill-on-bad-exit=0 python3 launch.py 'T=choice(1, 2)' &" in lines


def test_script_without_srun_starts_python_itself() -> None:
    assert "python3 launch.py 'T=choice(1, 2)' &" in script_of(use_srun=False)


def test_script_with_cores_for_each_task_tells_srun() -> None:
    assert "srun --kill-on-bad-exit=0 --cpus-per-task=3 python3 launch.py 'T=choice(1, 2)' &" in script_of(
        cpus_per_task=3
    )


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("echo 'sbatch: error: invalid partition' >&2; exit 1", InputError, "SLURM would not take the jobs"),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", MachineError, "SLURM does not answer"),
    ],
)
def test_refusal_of_sbatch_is_the_users_and_silence_is_the_machines(
    command: Command, text: str, error: type[Exception], said: str
) -> None:
    command("sbatch", text)
    with pytest.raises(error, match=said):
        slurm.check("#!/bin/bash")


def test_submitted_array_is_named_without_its_cluster(command: Command, tmp_path: Path) -> None:
    command("sbatch", "echo '1234;cluster'")
    assert slurm.submit(tmp_path / "array.sh") == "1234"


def test_tasks_of_another_script_are_left_out(command: Command) -> None:
    command(
        "squeue", "echo '7|RUNNING|None|/s/array.sh'; echo '8|PENDING|Priority|/s/array.sh'; echo '9|RUNNING|None|/b'"
    )
    assert slurm.tasks_of(Path("/s/array.sh")) == [Task("7", False, "None"), Task("8", True, "Priority")]


def test_queue_that_does_not_answer_has_no_list_of_tasks(command: Command) -> None:
    command("squeue", "exit 1")
    assert slurm.tasks_of(Path("/s/array.sh")) is None


def test_last_error_of_the_workers_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "7_0.log").write_text("epoch 1\nerror: T=0: too small\n")
    (tmp_path / "8_0.log").write_text("error: another array\n")
    assert last_words(tmp_path / "array.sh", "7") == "a worker said: T=0: too small"
    assert "could not write" in last_words(tmp_path / "array.sh", "9")
