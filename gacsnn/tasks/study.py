"""task=study: the trials of a sweep -> table, figures and one HTML page. Neither trains nor imports torch."""

from collections.abc import Collection
from pathlib import Path

from gacsnn.config.schema import Config
from gacsnn.report.study import show
from gacsnn.runtime.run_dir import OnEpochEnd, Result


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    assert config.study is not None
    return show(Path(config.study))
