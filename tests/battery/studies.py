"""Studies whose files are damaged or are another's, and what a study that is there does not take."""

import json
import sqlite3
from pathlib import Path

from battery.driver import Case, Prepare
from battery.images import kind, put, removed
from battery.made import STUDY, SWEEP
from battery.runs import NO_JSON

SHOW = ("task=study", f"study={STUDY}")
MORE = (*SWEEP[:-1], "hydra.sweeper.n_trials=3")


def sql(*statements: str) -> Prepare:
    def do(folder: Path) -> None:
        with sqlite3.connect(folder / STUDY / "study.db") as database:
            for statement in statements:
                database.execute(statement)
        database.close()

    return do


def zeroed(first: int, last: int) -> Prepare:
    """A part of the database's file overwritten."""

    def do(folder: Path) -> None:
        path = folder / STUDY / "study.db"
        content = bytearray(path.read_bytes())
        content[first:last] = bytes(len(content[first:last]))
        path.write_bytes(bytes(content))

    return do


def of_study(**values: object) -> Prepare:
    def do(folder: Path) -> None:
        path = folder / STUDY / "study.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return do


CASES = [
    *(
        Case(SHOW, "study.json", prepare=put(content, f"{STUDY}/study.json"))
        for content in NO_JSON.values()
    ),
    # What the sweep itself writes anew
    *(
        Case(MORE, "3 of 3 trials done", code=0, prepare=put(content, f"{STUDY}/study.json"))
        for content in NO_JSON.values()
    ),
    *(
        Case(arguments, "study.db", prepare=prepare)
        for prepare in (
            put(b"", f"{STUDY}/study.db"),
            put(b"no database", f"{STUDY}/study.db"),
            put(bytes(range(256)) * 64, f"{STUDY}/study.db"),
            kind("folder", f"{STUDY}/study.db"),
            kind("fifo", f"{STUDY}/study.db"),
            kind("loop", f"{STUDY}/study.db"),
            sql("DROP TABLE trials"),
            sql("DROP TABLE studies"),
            sql("DROP TABLE trial_params"),
            sql("DELETE FROM studies"),
            sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'"),
            zeroed(0, 100),
            zeroed(100, 5000),
            removed(f"{STUDY}/study.db"),
        )
        for arguments in (SHOW, MORE)
    ),
    *(Case(SHOW, "study.json", prepare=kind(what, f"{STUDY}/study.json")) for what in ("folder", "fifo", "loop", "zeros")),
    *(
        Case(SHOW, "nope://x" if value == "nope://x" else "study.json", prepare=of_study(**{name: value}))
        for name, value in (
            *(("storage", 5), ("storage", "nope://x"), ("study", [1])),
            *(("objectives", "top1"), ("objectives", [3]), ("objectives", [])),
        )
    ),
    Case(("task=diff", f"runs=[{STUDY},run]"), "run"),
    Case(("task=diff", f"runs=[{STUDY},nowhere]"), "nowhere"),
    Case(("rerun=" + STUDY,), STUDY),
    Case(("resume=" + STUDY,), STUDY),
    # What a study that has begun does not take
    *(
        Case((*MORE, option), said)
        for option, said in {
            "hydra.sweeper.objectives=[firing_rate]": "compared by validation_top1, not by firing_rate",
            "hydra.sweeper.direction=minimize": "direction",
            "T=1,3": "T",
            "epochs=3": "epochs",
            "optimizer=sgd": "optimizer",
            "model.width=0.06": "model.width",
            "encoder=direct": "encoder",
            "hydra.sweeper.rungs=[1,2]": "rungs",
            "hydra.sweeper.repeats=2": "repeats",
            "hydra.sweeper.trials_from=[run]": "run",
        }.items()
    ),
    # What looks hostile, and is right
    Case(SWEEP, "2 trials asked for, 2 done", code=0),
    Case(SHOW, "report", code=0),
    Case(MORE, "3 of 3 trials done", code=0, prepare=removed(f"{STUDY}/report")),
    Case((*SWEEP, "hydra.sweep.dir=new", "hydra.sweeper.n_trials=1"), "1 of 1", code=0),
]  # fmt: skip
