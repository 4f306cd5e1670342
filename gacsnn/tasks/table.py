"""task=table: runs of some folders -> a table in the published layout. Neither trains nor imports torch."""

from collections.abc import Collection
from pathlib import Path

from gacsnn.config.schema import Config
from gacsnn.report.paper import show
from gacsnn.runtime.run_dir import OnEpochEnd, Result


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    assert config.runs is not None
    folders = [config.runs] if isinstance(config.runs, str) else config.runs
    target = None if config.output_dir is None else Path(config.output_dir)
    return show([Path(folder) for folder in folders], target, config.report.tolerance)
