"""Run directories in which a file is damaged, missing, or something else; and someone's own files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from battery.driver import Case, Prepare
from battery.images import kind, put, removed
from battery.made import RUN

RESUME = ("resume=run", "epochs=3")
TABLE = ("task=table", "runs=run", "output_dir=table")
DIFF = ("task=diff", "runs=[run,other]")
RERUN = ("rerun=run", "output_dir=new")
NEW = (*RUN, "output_dir=mine")
MEASURE = ("task=evaluate", "checkpoint=run/checkpoints/best.pt", "output_dir=new")
AUTO = (*RUN, "resume=auto", "output_dir=run")
LONG = "x" * 300

NO_CONFIG: dict[str, bytes] = {
    "empty": b"",
    "a list": b"- 1\n- 2\n",
    "a number": b"5",
    "no YAML": b"][",
    "binary": bytes(range(256)),
    "a later schema": b"schema: 99\n",
    "schema a text": b"schema: x\n",
    "unknown options": b"foo: 1\n",
    "keys that are numbers": b"1: 2\n",
    "a key that is a list": b"? [1]\n: 2\n",
    "two documents": b"T: 1\n---\nT: 2\n",
    "a tab": b"\tT: 1",
    "deep": b"T: " + b"[" * 3000,
    "itself": b"T: &a [*a]\n",
    "an object of Python's": b'!!python/object/apply:os.mkdir ["code was run"]\n',
    "a bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{b}: &{b} [{','.join(8 * [f'*{a}'])}]\n".encode() for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
}

NO_JSON: dict[str, bytes] = {
    "empty": b"",
    "a list": b"[]",
    "an empty object": b"{}",
    "null": b"null",
    "a number": b"5",
    "cut": b'{"top1": 3',
    "binary": bytes(range(256)),
    "zeros": b"\0" * 100,
    "deep": b"[" * 200_000,
    "a long number": b'{"top1": ' + b"9" * 6000 + b"}",
}

NO_METRICS: dict[str, bytes] = {
    "binary": bytes(range(256)),
    "lists": b"[1]\n[2]\n",
    "epochs that are texts": b'{"epoch": "1"}\n{"epoch": "2"}\n',
    "no epochs": b'{"a": 1}\n{"b": 2}\n',
    "a line within cut": b'{"epoch": 1, "tr\n{"epoch": 2, "train_loss": 1.0}\n',
    "backwards": b'{"epoch": 2, "train_loss": 1.0}\n{"epoch": 1, "train_loss": 1.0}\n',
    "deep": b"[" * 200_000 + b"\n",
}


def result(change: Callable[[dict[str, Any]], object]) -> Prepare:
    def do(folder: Path) -> None:
        path = folder / "run/result.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return do


def yaml_with(**values: str) -> Prepare:
    """The run's config with other values than its weights have."""

    def do(folder: Path) -> None:
        path = folder / "run/config.yaml"
        lines = path.read_text().splitlines()
        for name, value in values.items():
            (place,) = [index for index, line in enumerate(lines) if line.strip().startswith(f"{name}:")][:1]
            indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
            lines[place] = f"{indent}{name}: {value}"
        path.write_text("\n".join(lines) + "\n")

    return do


CASES = [
    *(
        Case(arguments, said, prepare=put(content, "run/config.yaml"))
        for content in NO_CONFIG.values()
        for arguments, said in ((RESUME, "run"), (RERUN, "run"))
    ),
    *(Case(TABLE, "run", prepare=put(NO_CONFIG[name], "run/config.yaml")) for name in ("empty", "a list", "no YAML", "a bomb")),
    *(Case(DIFF, "run", prepare=put(NO_CONFIG[name], "run/config.yaml")) for name in ("empty", "a list", "no YAML", "binary")),
    *(Case(DIFF, "run", prepare=put(content, "run/result.json")) for content in NO_JSON.values()),
    *(Case(TABLE, "run", prepare=put(content, "run/result.json")) for content in NO_JSON.values()),
    *(Case(DIFF, "run", prepare=put(content, "run/metrics.jsonl")) for content in NO_METRICS.values()),
    *(Case(RESUME, "metrics.jsonl", prepare=put(content, "run/metrics.jsonl")) for content in NO_METRICS.values()),
    *(Case(RESUME, "run", prepare=yaml_with(**{name: value})) for name, value in (("T", "3"), ("width", "0.1"), ("lr", "0.5"))),
    # Something else in place of a file
    *(
        Case(arguments, "run", prepare=kind(what, f"run/{name}"))
        for name in ("config.yaml", "metrics.jsonl", "result.json")
        for what in ("folder", "fifo", "loop")
        for arguments in (RESUME, DIFF)
    ),
    *(
        Case(arguments, "run", prepare=kind(what, "run/config.yaml"))
        for what in ("folder", "fifo", "zeros", "broken link")
        for arguments in (RERUN, AUTO)
    ),
    *(Case(RESUME, "run", prepare=kind(what, "run/.lock")) for what in ("folder", "fifo", "loop")),
    *(Case(RESUME, "run", prepare=kind(what, "run/checkpoints")) for what in ("a file", "fifo", "loop")),
    *(Case(RESUME, "run", prepare=kind(what, "run")) for what in ("a file", "fifo", "loop", "broken link")),
    *(
        Case(arguments, "run", prepare=removed(name))
        for name in ("run/config.yaml", "run/checkpoints/*")
        for arguments in (RESUME, ("resume=run",))
    ),
    Case(MEASURE, "best.pt", prepare=removed("run/checkpoints/best.pt")),
    Case(DIFF, "run", prepare=removed("run/config.yaml")),
    Case(RERUN, "run", prepare=removed("run/config.yaml")),
    Case(("task=table", "runs=[run,nowhere]", "output_dir=table"), "nowhere"),
    Case(("task=table", "runs=images", "output_dir=table"), "images"),
    Case(("task=table", "runs=run", "output_dir=run/result.json"), "result.json"),
    # Someone's own files in the folder that is to hold the run
    *(
        Case(NEW, "mine", prepare=put(b"precious", f"mine/{name}"))
        for name in (
            *("config.yaml", "metrics.jsonl", "result.json", "report.html", "energy.csv"),
            *("checkpoints/best.pt", "checkpoints/last.pt", "checkpoints/mine.txt", "tensorboard/mine"),
        )
    ),
    *(
        Case(arguments, "mine", prepare=put(b"precious", f"mine/{name}"))
        for name in ("config.yaml", "result.json", "report.html", "energy.csv")
        for arguments in ((*MEASURE[:2], "output_dir=mine"), ("rerun=run", "output_dir=mine"))
    ),
    Case(NEW, "results in", code=0, prepare=put(b"notes", "mine/notes.txt")),
    # Names that no file system takes
    *(
        Case((*RUN, *arguments), "x")
        for arguments in (
            (f"output_dir={LONG}",),
            (f"output_dir=a/{LONG}/b",),
            (f"checkpoint={LONG}",),
            ("resume=auto", f"output_dir={LONG}"),
        )
    ),
    *(
        Case(arguments, "x")
        for arguments in (
            (f"resume={LONG}",),
            (f"rerun={LONG}",),
            ("rerun=run", f"output_dir={LONG}"),
            ("task=study", f"study={LONG}"),
            ("task=table", f"runs={LONG}"),
            ("task=table", "runs=run", f"output_dir={LONG}"),
            ("task=diff", f"runs=[{LONG},run]"),
            ("task=evaluate", f"checkpoint={LONG}"),
            (*MEASURE[:2], f"output_dir={LONG}"),
            ("dataset=cifar10", f"dataset.root={LONG}"),
            ("-m", "T=1,2", f"hydra.sweep.dir={LONG}"),
        )
    ),
    # What looks hostile, and is right
    Case(("resume=run/",), "run", code=0),
    Case(("resume=./run/../run", "epochs=3"), "results in", code=0),
    Case(TABLE, "", code=0),
    Case(DIFF, "seed", code=0),
    Case((*RUN, "output_dir=new/a/b/c"), "results in", code=0),
    Case((*RUN, "output_dir='new run (1)'"), "results in", code=0),
    Case((*RUN, "output_dir=été"), "results in", code=0),
]  # fmt: skip
