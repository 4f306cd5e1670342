"""What a sweep says: whose line it is, how far the study is and what is best; one bar on a terminal, whole lines in a pipe."""

import re
from pathlib import Path

import pytest
from program import Launch, on_a_terminal, start

SEARCH = (
    *("-m", "sweeps=t_lr", "T=1,2", "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2", "epochs=3"),
    *("hardware=cpu", "hardware.threads=1", "model.width=0.05", "limit_train=64", "limit_eval=32"),
)
LINE = re.compile(
    r"^((trial \d+: \S.*)|(study t_lr-digits-resnet8: .*)|(best: trial .*)|(python launch.py task=study .*))$"
)


@pytest.mark.slow
def test_lines_of_two_workers_are_whole_and_say_whose_they_are(tmp_path: Path) -> None:
    process = start(tmp_path, *SEARCH)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert [line for line in out.splitlines() if not LINE.match(line)] == []
    assert len(re.findall(r"^trial \d+: epoch [123]/3 \|.* s$", out, re.MULTILINE)) == 12
    told = re.findall(
        r"^trial \d+: done, validation_top1 [\d.]+; (\d) of 4 trials done, best validation_top1", out, re.MULTILINE
    )
    assert sorted(told) == list("1234")


@pytest.mark.slow
def test_a_terminal_gets_one_bar_for_the_study(tmp_path: Path) -> None:
    text = on_a_terminal(tmp_path, *SEARCH, columns=140)
    assert re.search(r"study t_lr-digits-resnet8: +\d+%\|.*\| [1-4]/4 \[.*best validation_top1", text)
    assert "epoch 1/3:" not in text, "the bar of a worker's epoch would tear the study's"
    lines = [line.rpartition("\r")[2].removeprefix("\x1b[A") for line in text.split("\r\n")]
    assert [line for line in lines if line.strip() and not line.startswith("study") and not LINE.match(line)] == []


def test_a_sweep_that_is_not_verbose_says_a_line_where_a_trial_begins_and_one_where_it_ends(
    launch: Launch, tmp_path: Path
) -> None:
    quiet = ("hydra.sweeper.n_jobs=1", "hydra.sweeper.test=none", "hydra.sweeper.verbose=false")
    said = launch(*SEARCH, "epochs=1", "hydra.sweeper.n_trials=2", *quiet)
    assert said.code == 0, said.err
    trials = [line for line in said.out.splitlines() if line.startswith("trial ")]
    assert [line.partition(":")[0] for line in trials] == ["trial 0", "trial 0", "trial 1", "trial 1"]
    assert "s left" in trials[1]
    assert "left" not in trials[3]
    assert "epoch" not in said.out
