"""What only torch can tell of a run, found out before the first of many (`run.check_job`): its device, its checkpoints, its GPU's
memory. One run alone finds it out by itself, before it writes anything.
"""

from pathlib import Path

from gacsnn.config.saved import from_saved
from gacsnn.config.schema import Config, Train
from gacsnn.errors import InputError, other_steps
from gacsnn.runtime.console import hush
from gacsnn.runtime.device import check_device, on_gpu
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.tasks.experiment import check_gpu_memory
from gacsnn.training import checkpoint, graphs


def check(config: Config) -> None:
    """Raises InputError for what a run of this config would begin with. Nothing is written or kept."""
    options = config.hardware
    check_device(options)
    graphs.check(
        "cuda" if on_gpu(options) else "cpu", options.processes if isinstance(options.processes, int) else 1, options
    )
    check_gpu_memory(config)
    with hush(True):  # the run itself says which checkpoint it goes on from
        check_weights(config)


def check_weights(config: Config) -> None:
    if config.resume is not None:
        checkpoint.newest(RunDirectory(Path(config.resume)).saved(), f"resume={config.resume}")
    elif config.checkpoint is not None:
        source = f"checkpoint={config.checkpoint}"
        content = checkpoint.read_any(Path(config.checkpoint))
        if isinstance(config.task, Train) and config.encoder.name == "gac" and "format" in content:
            trained = from_saved(content["config"], source)
            if trained.encoder.name == "gac" and trained.T != config.T:
                raise InputError(f"{source}: {other_steps(trained.T, config.T)}")
