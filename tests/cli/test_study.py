"""task=study: a study as a table, figures and a page."""

from pathlib import Path

from program import FOLDER, SEARCH, Launch


def test_a_study_is_shown(launch: Launch, tmp_path: Path) -> None:
    launch("-m", *SEARCH, "hydra.sweeper.n_trials=5")
    code, out, _ = launch("task=study", f"study={FOLDER}")
    assert code == 0
    assert "5 COMPLETE" in out
    report = tmp_path / FOLDER / "report"
    rows = (report / "trials.csv").read_text().splitlines()
    assert rows[0].startswith("trial,state,T,optimizer.lr,validation_top1")
    assert len(rows) == 6
    for name in ("history", "t_accuracy", "lr_accuracy"):
        assert (report / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (report / "study.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    assert "http" not in page
