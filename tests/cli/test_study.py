"""task=study: a study as a table, figures and a page."""

from pathlib import Path
from statistics import mean, stdev
from xml.etree import ElementTree

import pytest
from program import FOLDER, SEARCH, SMALL, Launch, read_result, refused


def test_a_study_is_shown(launch: Launch, tmp_path: Path) -> None:
    launch("-m", *SEARCH, "hydra.sweeper.n_trials=3")
    code, out, _ = launch("task=study", f"study={FOLDER}")
    assert code == 0
    assert "3 COMPLETE" in out
    report = tmp_path / FOLDER / "report"
    rows = (report / "trials.csv").read_text().splitlines()
    assert rows[0].startswith("trial,state,T,optimizer.lr,validation_top1")
    assert len(rows) == 4
    for name in ("history", "t_accuracy", "lr_accuracy"):
        assert ElementTree.parse(report / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    page = (report / "study.html").read_text()
    for title in ("T against accuracy", "Learning rate against accuracy", "Accuracy against energy", "Learning curves"):
        assert f">{title}</text>" in page
    assert rows[0].endswith(",energy_mj,epochs,seconds,best,note"), "which the runs know"
    assert "http" not in page


@pytest.mark.slow
def test_several_seeds_are_shown_as_their_mean_and_none_of_them_is_the_best(launch: Launch, tmp_path: Path) -> None:
    searched = ("sweeps=seeds", "+hydra.sweeper.params.encoder='choice(gac,direct)'", "seed=choice(0,1,2)")
    assert launch("-m", *searched, *SMALL).code == 0
    code, out, err = launch("task=study", "study=multirun/seeds-digits-resnet8")
    assert code == 0, err
    assert "by everything but the seed: mean ± standard deviation" in out
    runs = [read_result(path.parent) for path in (tmp_path / "multirun").glob("*/*/result.json")]
    assert len(runs) == 6
    lines = out.splitlines()
    means = {}
    for encoder in ("direct", "gac"):
        top1s = {
            split: [run[split] for run in runs if run["encoder"] == encoder] for split in ("validation_top1", "top1")
        }
        cells = [f"{mean(values):.2f} ± {stdev(values):.2f}" for values in top1s.values()]
        (row,) = [line for line in lines if line.split()[:2] == [encoder, "3"]]
        assert all(cell in row for cell in cells)
        means[encoder] = mean(top1s["validation_top1"])
    best = max(means, key=lambda encoder: means[encoder])
    (said,) = [line for line in lines if line.startswith("best")]
    assert said.startswith(f"best mean over seeds: encoder={best}, validation_top1 {means[best]:.2f} ± ")
    page = (tmp_path / "multirun" / "seeds-digits-resnet8" / "report" / "study.html").read_text()
    assert "By everything but the seed" in page
    assert ">Learning curves: mean ± sd</text>" in page
    assert f"{means[best]:.2f} ± " in page[: page.index("<section")], "among the first figures"


def test_a_plain_grid_is_shown_too(launch: Launch, tmp_path: Path) -> None:
    assert launch("-m", *SMALL, "epochs=1", "T=1,2", "seed=0,1", "hydra.sweep.dir=grid").code == 0
    before = sorted(tmp_path.rglob("*"))
    code, out, err = launch("task=study", "study=grid")
    assert code == 0, err
    assert "a plain grid, of which 4 runs have ended" in out
    table = [line.split() for line in out.splitlines() if line[:1].isdigit()]
    assert [(row[0], row[1]) for row in table] == [("1", "2"), ("2", "2")]
    assert sorted(tmp_path.rglob("*")) == before, "something was written"


def test_a_claim_stands_in_the_study_before_its_trials_and_is_answered(launch: Launch, tmp_path: Path) -> None:
    searched = ("-m", "sweeps=gac_against_direct", *SMALL, "epochs=1", "seed=0,1", "hydra.sweeper.test=best")
    assert launch(*searched).code == 0
    code, out, err = launch("task=study", "study=multirun/gac_against_direct-digits-resnet8")
    assert code == 0, err
    (row,) = [line for line in out.splitlines() if line.startswith("encoder=gac above encoder=direct by more than 0.3")]
    values = {}
    for path in (tmp_path / "multirun").glob("*/*/result.json"):
        run = read_result(path.parent)
        values[run["encoder"], run["seed"]] = run["validation_top1"]
    ahead = mean(values["gac", seed] - values["direct", seed] for seed in (0, 1))
    assert f"{ahead:+.4g}" in row
    assert any(answer in row for answer in ("supported", "refuted", "undecided"))
    before = sorted(tmp_path.rglob("*"))
    code, _, err = launch(*searched, "hydra.sweeper.claim.by=5")
    assert code == 2
    assert "claim 1 is encoder=gac above encoder=direct by more than 0.3" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_claim_of_a_saved_sweep_is_replaced_on_the_command_line(launch: Launch, tmp_path: Path) -> None:
    claim = 'hydra.sweeper.claim={better: "encoder=direct", than: "encoder=gac", by: much, on: energy_mj}'
    said = refused(launch, tmp_path, "-m", "sweeps=gac_against_direct", *SMALL, claim)
    assert said == "hydra.sweeper.claim: by=much should be a number, in units of energy_mj"


def test_a_claim_about_what_is_not_varied_is_refused(launch: Launch, tmp_path: Path) -> None:
    claim = "hydra.sweeper.claim={better:'optimizer=adamw',than:'optimizer=sgd',on:validation_top1}"
    said = refused(launch, tmp_path, "-m", "sweeps=seeds", *SMALL, claim)
    assert said.endswith("this sweep does not vary optimizer; it searches seed")
