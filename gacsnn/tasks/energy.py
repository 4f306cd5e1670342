"""task=energy: a checkpoint's firing rates, operations and energy, layer by layer -> table and run directory."""

from collections.abc import Collection

from gacsnn.config.schema import Config
from gacsnn.report.energy import table
from gacsnn.report.summary import conclude
from gacsnn.runtime.console import log
from gacsnn.runtime.run_dir import OnEpochEnd, Result
from gacsnn.tasks.evaluate import measure_checkpoint
from gacsnn.tasks.rerun import compare


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    result, rows, run_dir = measure_checkpoint(config, overridden)
    log.info("\n".join(["", *table(rows)]))
    conclude(result, run_dir.path)
    compare(config, run_dir)
    return result
