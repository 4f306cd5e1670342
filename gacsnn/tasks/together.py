"""A task done by several processes together: this one joins the others that its launcher has started."""

from collections.abc import Collection

from gacsnn.config.schema import Config
from gacsnn.runtime.device import on_gpu
from gacsnn.runtime.group import joined
from gacsnn.runtime.run_dir import OnEpochEnd, Result
from gacsnn.runtime.signals import imported


def as_member(task: str, config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None) -> Result:
    """Do the task as one of the processes. The first one's config counts: with resume=auto they may have seen different runs."""
    with joined(on_gpu(config.hardware)) as group:
        config = group.share(lambda: config)
        return imported(task).run(config, overridden, on_epoch_end)
