"""Which config, commit, seed and machine made a result."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gacsnn.config.merge import config_hash
from gacsnn.config.schema import Config


def provenance(config: Config, device: str, kernels: str) -> dict[str, Any]:
    """What `result.json` says of it; `device` is the device in words, `kernels` plain or fused."""
    return {
        "T": config.T,
        "dataset": config.dataset.name,
        "model": config.model.name,
        "encoder": config.encoder.name,
        "seed": config.seed,
        "config_hash": config_hash(config),
        "git_commit": git_commit(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("gacsnn", "torch", "torchvision", "hydra-core")},
        },
        "device": device,
        "machine": f"{platform.node()}, {platform.platform()}, {os.cpu_count()} cores",
        "precision": config.hardware.precision,
        "kernels": kernels,
    }


def git_commit() -> str | None:
    """The commit of the package's own source, with `-dirty` when files differ from it; None outside a repository."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
