"""Published figures (`published.yaml`), and which of our rows they are of."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from gacsnn.report.rows import Row


@cache
def known() -> Mapping[str, Any]:
    return yaml.safe_load((files("gacsnn.report") / "published.yaml").read_text("utf-8"))


def published(row: Row) -> Mapping[str, Any] | None:
    """What was published of a row's network at full width, on the whole test split of the original data."""
    config = row.config
    if config.model.width != 1 or config.model.stages is not None or config.limit_eval is not None:
        return None
    ours = {"dataset": config.dataset.name, "model": config.model.name, "encoder": config.encoder.name, "T": config.T}
    return next((there for there in known()["rows"] if ours == {name: there[name] for name in ours}), None)


def elsewhere(dataset: str) -> Sequence[Mapping[str, Any]]:
    """Published figures on a data set: of networks that we build, and of others."""
    rows = [there for there in known()["rows"] if there["dataset"] == dataset]
    named = [{**there, "network": f"{there['encoder'].upper()}-{there['model']}"} for there in rows]
    return named + [there for there in known()["elsewhere"] if there["dataset"] == dataset]


def source_of(there: Mapping[str, Any]) -> str:
    return known()["sources"][there["source"]]
