"""Sweeps with real studies and real, tiny trainings on the digits."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from databases import Server
from hydra.plugins.launcher import Launcher
from optuna.trial import TrialState
from program import (
    FOLDER,
    QUICK,
    ROOT,
    SEARCH,
    SMALL,
    TINY,
    Launch,
    once_saved,
    read_metrics,
    read_result,
    refused,
    start,
    wait_for,
)
from storms import must_succeed
from studies import check_whole, load

from gacsnn.config.merge import config_hash, flat
from gacsnn.config.saved import to_dict
from gacsnn.config.schema import Config
from gacsnn.report.study import show
from gacsnn.sweep.claims import effective_trials, finish_early
from gacsnn.sweep.compose import Compose
from gacsnn.sweep.leases import process_start
from gacsnn.sweep.loop import check
from gacsnn.sweep.options import SweepOptions
from gacsnn.sweep.points import endpoints
from gacsnn.sweep.search import Search, probes
from gacsnn.sweep.status import best_trials
from gacsnn.sweep.storage import run_of

ONE = ("-m", *QUICK, "hydra.sweeper.n_trials=1")


@pytest.fixture(scope="module")
def one_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    must_succeed(folder, *ONE)
    return folder


@pytest.fixture
def begun(one_trial: Path, tmp_path: Path) -> None:
    """A study of one trial, as the command `ONE` leaves it: run once, copied for each test of what comes after it."""
    shutil.copytree(one_trial / FOLDER, tmp_path / FOLDER)


def test_a_search_keeps_its_trials_and_reads_the_test_split_of_the_best_only(launch: Launch, tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "epochs=1")
    code, out, err = launch(*command, "hydra.sweeper.n_trials=2")
    assert (code, err) == (0, "")
    study = check_whole(tmp_path, 2, epochs=1)
    tested = [
        t.number for t in effective_trials(study) if read_result(tmp_path / FOLDER / str(t.number))["top1"] is not None
    ]
    values = [trial.value for trial in study.trials]
    assert tested == [values.index(max(values))], "of several that are as good, the earliest"
    assert "best: trial" in out
    # The same command again adds nothing; a larger number goes on.
    assert launch(*command, "hydra.sweeper.n_trials=2").code == 0
    assert len(load(tmp_path / FOLDER).trials) == 2
    assert launch(*command, "hydra.sweeper.n_trials=3").code == 0
    check_whole(tmp_path, 3, epochs=1)


@pytest.mark.slow
def test_one_worker_repeats_itself_and_an_interruption_changes_no_parameter(launch: Launch, tmp_path: Path) -> None:
    search = ("-m", *SEARCH, "hydra.sweeper.sampler.n_startup_trials=2")
    launch(*search, "hydra.sweeper.n_trials=4", "hydra.sweeper.study_name=whole")
    launch(*search, "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=parts")
    launch(*search, "hydra.sweeper.n_trials=4", "hydra.sweeper.study_name=parts")
    whole, parts = (load(tmp_path / "multirun" / name) for name in ("whole", "parts"))
    assert [trial.params for trial in whole.trials] == [trial.params for trial in parts.trials]
    assert [trial.value for trial in whole.trials] == [trial.value for trial in parts.trials]


@pytest.mark.slow
def test_the_search_finds_the_better_learning_rate(launch: Launch, tmp_path: Path) -> None:
    code, _, _ = launch(
        *("-m", "sweeps=t_lr", "hydra/sweeper/sampler=grid", "T=2", "optimizer.lr=1e-6,3e-3", "hardware.threads=1"),
        *("hardware=cpu", "model.width=0.1", "epochs=4", "limit_train=600", "limit_eval=150"),
    )
    assert code == 0
    study = load(tmp_path / FOLDER)
    assert [trial.params["optimizer.lr"] for trial in study.trials] == [1e-6, 3e-3]
    assert study.best_trial.params["optimizer.lr"] == 3e-3
    assert study.trials[1].value > study.trials[0].value + 10


@pytest.mark.slow
def test_ten_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    generator = random.Random(0)
    command = ("-m", *SEARCH, "hydra.sweeper.n_trials=8")
    for _ in range(10):
        process = start(tmp_path, *command)
        time.sleep(generator.uniform(2.0, 9.0))
        process.kill()
        process.wait()
    last = subprocess.run(
        [sys.executable, str(ROOT / "launch.py"), *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert last.returncode == 0, last.stderr
    study = check_whole(tmp_path, 8)
    assert len(study.trials) > 8, "no kill hit a trial"


@pytest.mark.slow
def test_a_killed_trial_is_failed_and_taken_up_from_its_last_epoch(tmp_path: Path, launch: Launch) -> None:
    command = ("-m", *SEARCH, "epochs=60", "hydra.sweeper.n_trials=1", "hydra.sweeper.test=none")
    process = start(tmp_path, *command)
    last = tmp_path / FOLDER / "0" / "checkpoints" / "last.pt"
    wait_for(last.exists, process)
    process.kill()
    process.wait()
    seen = len((tmp_path / FOLDER / "0" / "metrics.jsonl").read_text().splitlines())
    assert launch(*command).code == 0
    study = load(tmp_path / FOLDER)
    first, second = study.trials
    assert (first.state, second.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert "was killed" in first.user_attrs["reason"]
    assert second.user_attrs["retry_of"] == 0
    assert first.params == second.params
    epochs = [line["epoch"] for line in read_metrics(tmp_path / FOLDER / "1")]
    assert epochs == list(range(1, 61))
    assert 1 <= seen < 60
    assert not (tmp_path / FOLDER / "0").exists()


def test_ctrl_c_saves_the_trial_and_the_sweep_goes_on_later(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("-m", *QUICK, "epochs=4", "hydra.sweeper.n_trials=1")
    once_saved(monkeypatch, tmp_path / FOLDER / "0", lambda: signal.raise_signal(signal.SIGINT))
    code, out, err = launch(*command)
    assert (code, err) == (130, "")
    assert out.splitlines()[-1] == f"study {FOLDER.name}: stopped; 0 of 1 trials done; the same command goes on with it"
    (trial,) = load(tmp_path / FOLDER).trials
    assert trial.user_attrs["reason"] == "interrupted by the user"
    assert show(tmp_path / FOLDER)["trials"]["INTERRUPTED"] == 1
    code, out, err = launch(*command)
    assert code == 0, err
    assert "trial 1: going on after " in out
    assert [line["epoch"] for line in read_metrics(tmp_path / FOLDER / "1")] == [1, 2, 3, 4]


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_too(tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "epochs=400", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    process = start(tmp_path, *command)
    wait_for(lambda: len(list((tmp_path / FOLDER).glob("*/checkpoints/last.pt"))) == 2, process)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert out.splitlines()[-1] == f"study {FOLDER.name}: stopped; 0 of 2 trials done; the same command goes on with it"
    assert "Error executing" not in out
    study = load(tmp_path / FOLDER)
    assert [trial.user_attrs.get("reason") for trial in study.trials] == ["interrupted by the user"] * 2
    assert show(tmp_path / FOLDER)["trials"]["INTERRUPTED"] == 2
    owners = [trial.user_attrs["owner"] for trial in study.trials]
    assert len({owner["pid"] for owner in owners}) == 2
    assert [owner for owner in owners if process_start(owner["pid"]) == owner["start"]] == [], "a worker lives on"


@pytest.mark.slow
def test_trials_of_a_sweep_whose_supervisor_is_killed_are_taken_up(tmp_path: Path) -> None:
    """The workers' standard output breaks with it: that is not the trials' fault."""
    command = ("-m", *SEARCH, "epochs=2000", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    process = start(tmp_path, *command)
    wait_for(lambda: len(list((tmp_path / FOLDER).glob("*/checkpoints/last.pt"))) == 2, process)
    process.kill()
    process.wait()
    owners = [trial.user_attrs["owner"] for trial in load(tmp_path / FOLDER).trials]
    deadline = time.monotonic() + 30
    while any(process_start(owner["pid"]) == owner["start"] for owner in owners):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.1)
    for trial in load(tmp_path / FOLDER).trials:
        assert trial.state == TrialState.RUNNING or "died" in trial.user_attrs, trial.user_attrs


def test_two_workers_do_a_search(launch: Launch, tmp_path: Path) -> None:
    said = launch("-m", *QUICK, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    assert said.code == 0, said.err
    check_whole(tmp_path, 2, epochs=1)


@pytest.mark.slow
def test_workers_share_the_trials(tmp_path: Path) -> None:
    process = start(tmp_path, "-m", *SEARCH, "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    study = check_whole(tmp_path, 6)
    assert len({trial.user_attrs["owner"]["pid"] for trial in study.trials}) == 2


@pytest.mark.slow
def test_of_processes_that_conclude_together_one_tests_and_all_end_well(launch: Launch, tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "hydra.sweeper.n_trials=2")
    assert launch(*command, "hydra.sweeper.test=none").code == 0
    processes = [start(tmp_path, *command) for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum(output.count("on the test split") for output in outputs) == 1


@pytest.mark.slow
def test_a_sweep_in_a_terminal_that_is_closed_keeps_its_trials(tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "epochs=2000", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    process = start(tmp_path, *command)
    wait_for(lambda: len(list((tmp_path / FOLDER).glob("*/checkpoints/last.pt"))) == 2, process)
    assert process.stdout is not None
    process.stdout.close()
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(timeout=60) == 129
    trials = load(tmp_path / FOLDER).trials
    assert [trial.user_attrs.get("died") for trial in trials] == ["stopped by SIGHUP"] * 2
    assert not [t for t in trials if process_start(t.user_attrs["owner"]["pid"]) == t.user_attrs["owner"]["start"]]


@pytest.mark.slow
def test_a_folder_of_a_study_may_be_moved(launch: Launch, tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "hydra.sweeper.study_name=s")
    assert launch(*command, "hydra.sweeper.n_trials=2").code == 0
    (tmp_path / "multirun" / "s").rename(tmp_path / "moved")
    before = sorted((tmp_path / "moved").rglob("*"))
    said = launch("task=study", "study=moved")
    assert said.code == 0, said.err
    assert "-> moved/" in said.out
    written = set((tmp_path / "moved").rglob("*")) - set(before)
    assert {path.relative_to(tmp_path / "moved").parts[0] for path in written} == {"report"}
    assert not (tmp_path / "multirun" / "s").exists()
    assert launch(*command, "hydra.sweeper.n_trials=3", "hydra.sweep.dir=moved").code == 0
    assert len(load(tmp_path / "moved").trials) == 3
    (tmp_path / "moved" / "study.db").unlink()
    code, _, err = launch("task=study", "study=moved")
    assert (code, err.count("\n")) == (2, 1)
    assert "study.db is not there" in err
    assert not (tmp_path / "moved" / "study.db").exists()


@pytest.mark.usefixtures("begun")
def test_a_trial_that_is_given_up_shows_in_the_exit_code(launch: Launch, tmp_path: Path) -> None:
    command = ("-m", *QUICK, "hydra.sweeper.max_retries=0")
    study = load(tmp_path / FOLDER)
    trial = study.ask()
    trial.set_user_attr("owner", {"host": "nowhere", "pid": 1, "start": "1"})
    finish_early(study, trial, "its machine burned", "died")
    said = launch(*command, "hydra.sweeper.n_trials=2")
    assert said.code == 1
    assert "1 trials were given up (trial 1)" in said.err
    assert "its machine burned" in said.err


def test_a_sweep_with_resume_auto_keeps_its_trials_in_its_folder(launch: Launch, tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "epochs=1", "hydra.sweeper.n_trials=2", "hydra.sweeper.test=none")
    assert launch(*command, "resume=auto").code == 0
    check_whole(tmp_path, 2, epochs=1)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_two_terminals_share_one_study(tmp_path: Path) -> None:
    command = ("-m", *SEARCH, "hydra.sweeper.n_trials=6")
    processes = [start(tmp_path, *command) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    study = check_whole(tmp_path, 6)
    assert len({trial.user_attrs["owner"]["pid"] for trial in study.trials}) == 2
    (best,) = (run_of(trial, tmp_path / FOLDER) for trial in best_trials(study))
    assert read_result(best)["top1"] is not None


@pytest.mark.slow
def test_pruning_saves_epochs_and_keeps_the_winner(launch: Launch, tmp_path: Path) -> None:
    rates = "3e-4,1e-6,3e-3,2e-6,2e-4,3e-6,1e-4,4e-6,5e-6,1e-3"  # half of them hopeless
    common = (
        *("-m", "hydra/sweeper/sampler=grid", f"optimizer.lr={rates}", "T=1"),
        *("hardware=cpu", "hardware.threads=1", "model.width=0.1", "epochs=16", "limit_train=600", "limit_eval=200"),
        *("hydra.sweeper.n_trials=10", "hydra.sweeper.test=none"),
    )
    assert launch(*common, "sweeps=t_lr").code == 0
    assert (
        launch(
            *common,
            "sweeps=t_lr_prune",
            "hydra.sweeper.pruner.n_startup_trials=1",
            "hydra.sweeper.pruner.n_warmup_steps=1",
        ).code
        == 0
    )
    full, pruned = (load(tmp_path / "multirun" / f"{name}-digits-resnet8") for name in ("t_lr", "t_lr_prune"))
    epochs = [sum(trial.user_attrs["epochs"] for trial in study.trials) for study in (full, pruned)]
    assert epochs[0] == 160
    assert epochs[1] <= 0.6 * epochs[0]
    assert full.best_trial.params == pruned.best_trial.params
    early = [trial for trial in pruned.trials if trial.state == TrialState.PRUNED]
    assert early
    assert all(
        (tmp_path / "multirun" / "t_lr_prune-digits-resnet8" / str(t.number) / "metrics.jsonl").exists() for t in early
    )


def test_a_failing_trial_is_recorded_and_too_many_stop_the_sweep(launch: Launch, tmp_path: Path) -> None:
    bad = (
        "-m",
        "sweeps=t_lr",
        *SMALL,
        "epochs=1",
        "optimizer=sgd",
        "hydra/sweeper/sampler=grid",
        "T=1",
        "scheduler=constant",
    )
    search = "optimizer.lr=1e30,0.1"
    assert launch(*bad, search).code == 0
    study = load(tmp_path / FOLDER)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE]
    assert "DivergenceError" in study.trials[0].user_attrs["reason"]
    again = launch(*bad, search, "hydra.sweeper.retry=failed")
    assert again.code == 0, again.err
    assert "trials that failed and are lined up again: 1" in again.out
    trials = load(tmp_path / FOLDER).trials
    assert (len(trials), trials[2].state, trials[2].user_attrs["retry_of"]) == (3, TrialState.FAIL, 0)
    said = launch(*bad, search, "hydra.sweeper.max_failure_rate=0.1", "hydra.sweeper.study_name=b")
    assert said.code == 1
    assert "1 of 2 trials failed" in said.err
    assert len(load(tmp_path / "multirun" / "b").trials) == 1


def test_the_same_config_is_not_run_twice(launch: Launch, tmp_path: Path) -> None:
    assert launch("-m", *QUICK, "T=choice(1)", "hydra.sweeper.n_trials=3").code == 0
    trials = load(tmp_path / FOLDER).trials
    assert len(trials) == 3
    reused = [trial for trial in trials if "reused" in trial.user_attrs]
    assert len(reused) == 2
    assert all(trial.value == trials[trial.user_attrs["reused"]].value for trial in reused)


def test_two_objectives_give_a_pareto_front(launch: Launch, tmp_path: Path) -> None:
    code, out, err = launch("-m", "sweeps=accuracy_energy", *SMALL, "epochs=1", "hydra.sweeper.n_trials=2")
    assert code == 0, err
    folder = tmp_path / "multirun" / "accuracy_energy-digits-resnet8"
    study = load(folder)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    points = {}
    for trial in study.trials:
        found = read_result(folder / str(trial.number))
        assert trial.values == [found["validation_top1"], found["energy_mj"]]
        points[trial.number] = (found["validation_top1"], -found["energy_mj"])
    beaten = {
        number
        for number, (top1, saved) in points.items()
        if any(other[0] >= top1 and other[1] >= saved and other != (top1, saved) for other in points.values())
    }
    said = [int(line.split()[2].rstrip(",")) for line in out.splitlines() if line.startswith("best: trial")]
    assert said == [number for number in sorted(points) if number not in beaten]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hydra/sweeper/sampler=tpf",), "tpf"),
        (("hydra/sweeper/pruner=medium",), "medium"),
        (("T=1,0",), "T=0: should be greater than or equal to 1"),
        (("T=range(3,3)",), "at least one value"),
        (("optimzer.lr=1,2",), "optimzer"),
        (("hydra.sweeper.retry=all",), "hydra.sweeper.retry=all: choose one of none, failed"),
        (("hydra.sweeper.storage_patience_seconds=-1",), "should be greater than or equal to 0"),
        (
            ("hydra.sweeper.max_failure_rate=-1",),
            "hydra.sweeper.max_failure_rate=-1.0: should be greater than or equal to 0",
        ),
        (("hydra.sweeper.max_failure_rate=2",), "should be less than or equal to 1"),
        (("hydra.sweeper.max_retries=-1",), "hydra.sweeper.max_retries=-1: should be greater than or equal to 0"),
        (("hydra.sweeper.lease_seconds=0",), "hydra.sweeper.lease_seconds=0.0: should be greater than or equal to 1"),
        (("hydra.sweeper.lease_seconds=inf",), "hydra.sweeper.lease_seconds=inf: should be a finite number"),
        (("hydra.sweeper.direction=null",), "hydra.sweeper.direction=null: choose one of maximize, minimize"),
        (("hydra.sweeper.n_trials=0",), "hydra.sweeper.n_trials=0: should be greater"),
        (("hydra.sweeper.direction=up",), "hydra.sweeper.direction=up: choose one of maximize, minimize"),
        (("hydra.sweeper.storage=postgresql://nobody@127.0.0.1:1/none",), "cannot be reached"),
        (("hydra.sweeper.sampler.n_startup_trials=many",), "many"),
        (("hydra.sweeper.sampler.n_startup=1",), "n_startup"),
        (("hydra.sweeper.objectives=[top]",), "hydra.sweeper.objectives=top: no such objective"),
        (("T=2", "optimizer.lr=0.1"), "nothing is searched"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_a_mistake_in_a_sweep_is_one_line(
    launch: Launch, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = launch("-m", "sweeps=t_lr", *SMALL, *arguments)
    assert code == 2, out
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.rglob("config.yaml"))


@pytest.mark.usefixtures("begun")
def test_another_search_or_direction_in_the_same_study_is_refused(launch: Launch, tmp_path: Path) -> None:
    for argument, said in (
        ("T=1,2,4", "search of T is"),
        ("epochs=3", "epochs is 1 there and 3 here"),
        ("hydra.sweeper.direction=minimize", "its direction is maximize, not minimize"),
    ):
        code, _, err = launch(*ONE, argument)
        assert code == 2
        assert said in err
    assert len(load(tmp_path / FOLDER).trials) == 1


def test_a_plain_optuna_sweep_still_works(launch: Launch, tmp_path: Path) -> None:
    code, _, err = launch(
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1", *SMALL),
        *("hydra.sweeper.direction=maximize", "hydra.sweeper.storage=sqlite:///plain.db", "T=choice(1,2)"),
        *("hydra.sweeper.study_name=plain",),
    )
    assert code == 0, err
    with sqlite3.connect(tmp_path / "plain.db") as database:
        assert database.execute("select count(*) from trials where state = 'COMPLETE'").fetchone() == (2,)


# Those that other tests begin, and so find wrong, too.
BEGUN = ("accuracy_energy", "gac_against_direct", "seeds")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=pytest.mark.slow if path.stem in BEGUN else ())
        for path in sorted((ROOT / "sweeps").glob("*.yaml"))
    ],
)
def test_every_saved_search_is_checked_at_all_its_ends(
    name: str, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before a sweep's first trial; but for the data sets, which are not here."""
    checked: list[tuple[Search, list[Config]]] = []

    def instead(_options: SweepOptions, search: Search, _folder: Path, compose: Compose, _launcher: Launcher) -> None:
        check(_options, search, compose)
        checked.append((search, probes(search, compose)))

    monkeypatch.setattr("gacsnn.sweep.plan.plan_sweep", instead)
    monkeypatch.setattr("gacsnn.run.check_job", lambda _config, _named: None)
    said = launch("-m", f"sweeps={name}", "plan=true")
    assert said.code == 0, said.err
    ((search, configs),) = checked
    ends = {option: endpoints(distribution) for option, distribution in search.space.items()}
    assert len({config_hash(config) for config in configs}) == 1 + sum(len(found) - 1 for found in ends.values())
    for option in set(ends) - {"experiment"}:
        values = [flat(to_dict(config)) for config in configs]
        key = option if option in values[0] else f"{option}.name"
        assert {each[key] for each in values} == set(ends[option]), option


@pytest.mark.slow
def test_a_postgresql_server_is_shared_and_survives_kills(tmp_path: Path, postgresql: Server) -> None:
    command = ("-m", *SEARCH, "hydra.sweeper.n_trials=6", f"hydra.sweeper.storage={postgresql.url}")
    first, second = (start(tmp_path, *command) for _ in range(2))
    wait_for(lambda: list((tmp_path / FOLDER).glob("*/checkpoints/last.pt")), first)
    first.kill()
    first.wait()
    out, _ = second.communicate(timeout=200)
    assert second.returncode == 0, out
    last = start(tmp_path, *command)
    out, _ = last.communicate(timeout=200)
    assert last.returncode == 0, out
    check_whole(tmp_path, 6)


def test_range_on_the_command_line_over_a_fixed_value_of_the_saved_sweep_is_searched(
    launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "conf" / "sweeps").mkdir(parents=True)
    (tmp_path / "conf" / "sweeps" / "mine.yaml").write_text(
        """# @package _global_
defaults:
  - override /hydra/sweeper: study
  - override /hydra/sweeper/sampler: grid
hydra:
  sweeper: {study_name: mine, n_trials: 6, test: none, params: {T: "choice(1, 2)", batch_size: 16}}
  sweep: {dir: mine}
"""
    )
    command = ("--config-dir", "conf", "-m", "sweeps=mine", *SMALL, "max_steps=1")
    assert launch(*command, "batch_size=8,32").code == 0
    assert [trial.params for trial in load(tmp_path / "mine").trials] == [
        {"T": T, "batch_size": size} for T in (1, 2) for size in (8, 32)
    ]
    code, _, err = launch(*command, "batch_size=8")
    assert (code, "the trials of this study are of another kind" in err) == (2, True), "a study keeps its search space"


@pytest.mark.slow
def test_a_journal_file_serves_as_storage(launch: Launch, tmp_path: Path) -> None:
    said = launch("-m", *SEARCH, "hydra.sweeper.n_trials=2", "hydra.sweeper.storage=journal:trials.log")
    assert said.code == 0, said.err
    check_whole(tmp_path, 2)
    assert launch("task=study", f"study={FOLDER}").code == 0


@pytest.mark.slow
def test_bad_combinations_fail_one_by_one_and_too_many_stop_the_sweep(launch: Launch, tmp_path: Path) -> None:
    # Each end of the search is fine by itself; momentum 0 with Nesterov is not.
    search = ("-m", "sweeps=t_lr", *SMALL, "hydra/sweeper/sampler=grid", "optimizer=sgd", "T=1", "optimizer.lr=0.1")
    space = ("optimizer.nesterov=false,true", "optimizer.momentum=0.9,0.0")
    assert launch(*search, *space).code == 0
    trials = load(tmp_path / FOLDER).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert "nesterov=true needs momentum > 0" in trials[3].user_attrs["reason"]
    said = launch(*search, *space, "hydra.sweeper.max_failure_rate=0.0", "hydra.sweeper.study_name=strict")
    assert said.code == 1
    assert "1 of 4 trials failed" in said.err


def test_hydras_grid_gives_each_run_a_numbered_directory(launch: Launch, tmp_path: Path) -> None:
    assert launch("-m", *TINY, "T=1,2", "hydra.sweep.dir=grid").code == 0
    results = [read_result(tmp_path / "grid" / str(n)) for n in (0, 1)]
    assert [result["T"] for result in results] == [1, 2]


@pytest.mark.usefixtures("begun")
def test_a_study_keeps_its_objective(launch: Launch, tmp_path: Path) -> None:
    line = refused(launch, tmp_path, *ONE, "hydra.sweeper.objectives=[firing_rate]")
    assert line.endswith("are compared by validation_top1, not by firing_rate; give another name")


def test_a_study_keeps_its_rungs(launch: Launch) -> None:
    paused = ("hydra.sweeper.rungs=[1,2]", "hydra.sweeper.reduction_factor=2")
    begun = ("-m", *QUICK, "epochs=2", "hydra.sweeper.n_trials=1")
    assert launch(*begun, *paused).code == 0
    for other in ((), (paused[0],), ("hydra.sweeper.rungs=[1,2,3]", "epochs=3")):
        code, _, err = launch(*begun, *other)
        assert code == 2
        assert "rungs" in err or "epochs is 2 there and 3 here" in err
    assert launch(*begun, *paused).code == 0


@pytest.mark.usefixtures("begun")
def test_a_study_that_is_lost_is_not_begun_anew_over_its_runs(launch: Launch, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    database = (folder / "study.db").read_bytes()

    def said() -> str:
        return refused(launch, tmp_path, *ONE)

    (folder / "study.db").write_bytes(b"")
    assert "the study's file is empty; put a copy of it back" in said()
    (folder / "study.db").unlink()
    assert "the study's file is gone" in said()
    optuna.create_study(study_name="other", storage=f"sqlite:///{folder / 'study.db'}")
    assert f"has no study {FOLDER.name}" in said()
    (folder / "study.db").write_bytes(database)
    (folder / "study.json").write_text("[]")
    assert launch(*ONE).code == 0
    assert load(folder).study_name == FOLDER.name, "what names it is written anew"
    assert "holds the trials of study" in refused(
        launch, tmp_path, *ONE, "hydra.sweeper.study_name=b", f"hydra.sweep.dir={FOLDER}"
    )


def test_a_folder_may_have_any_name(launch: Launch, tmp_path: Path) -> None:
    searched = ("-m", *QUICK, "hydra.sweeper.n_trials=1", "hydra.sweeper.test=best")
    code, _out, err = launch(*searched, 'hydra.sweep.dir="it\'s a \\ folder"')
    assert code == 0, err
    assert read_result(tmp_path / "it's a \\ folder" / "0")["top1"] is not None


@pytest.mark.slow
def test_workers_share_a_folder_that_is_named_by_the_time(tmp_path: Path) -> None:
    """Each worker begins at another one."""
    searched = ("-m", *SEARCH, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    process = start(tmp_path, *searched, "hydra.sweep.dir=multirun/${now:%H%M%S.%f}")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    (folder,) = (tmp_path / "multirun").iterdir()
    assert [trial.state.name for trial in load(folder).trials] == ["COMPLETE"] * 2
