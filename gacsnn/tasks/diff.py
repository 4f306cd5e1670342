"""task=diff: in what two runs, studies or folders of runs differ. Neither trains nor imports torch."""

from collections.abc import Collection
from pathlib import Path

from gacsnn.config.schema import Config
from gacsnn.report.diff import show
from gacsnn.runtime.run_dir import OnEpochEnd, Result


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    assert config.runs is not None
    folders = [config.runs] if isinstance(config.runs, str) else config.runs
    return show([Path(folder) for folder in folders])
