"""Which run a checkpoint belongs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gacsnn.config.merge import CHANGEABLE, differences, sections
from gacsnn.config.saved import from_saved, to_dict
from gacsnn.config.schema import Config
from gacsnn.errors import InputError
from gacsnn.runtime.run_dir import RunDirectory


def kept_apart(there: Config, here: Config) -> str:
    """Return the differences between two configs in options that a run keeps when it goes on; "" if there are none."""
    kept = set(to_dict(there)) - {*CHANGEABLE, "output_dir", "rerun", "checkpoint", "plan"}
    return differences(sections(there, kept, CHANGEABLE), sections(here, kept, CHANGEABLE))


def other_run(content: Mapping[str, Any], config: Config, run_id: str | None, source: str) -> str | None:
    """Return a warning if a checkpoint's content belongs to another run than `config` and `run_id`, or None.

    Checkpoints and results of earlier versions have no id: None matches every id.
    """
    differ = kept_apart(config, from_saved(content["config"], source))
    there = content.get("run_id")
    if not differ and None not in (there, run_id) and there != run_id:
        differ = f"the run's id is {run_id} there and {there} here"
    return f"{source}: belongs to another run than its directory: {differ}" if differ else None


def strange_to_its_directory(path: Path, content: Mapping[str, Any]) -> str | None:
    """Return the warning of `other_run` for a checkpoint of ours that lies in a run directory; None for any other file."""
    run_dir = RunDirectory(path.absolute().parent.parent)
    if "config" not in content or path.absolute().parent != run_dir.checkpoints or not run_dir.config_path.exists():
        return None
    try:
        config, result = run_dir.read_config(), run_dir.read_result() or {}
    except InputError:
        return None
    return other_run(content, config, result.get("run_id"), f"checkpoint={path}")
