"""A plain grid (`-m T=2,4 seed=1,2`): Hydra's own sweeper, but all jobs are checked before the first."""

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from gacsnn.config.schema import Config
from gacsnn.errors import InputError, file_errors
from gacsnn.runtime.console import log, speak
from gacsnn.runtime.files import check_writable, make_folder
from gacsnn.sweep.compose import composer, merge_overrides
from gacsnn.sweep.trial import AUTO, Check, as_job, check_job

# Runs of a plain grid, all of which are composed before the first.
MOST_JOBS = 100_000


@dataclass
class GridConf(BasicSweeperConf):
    _target_: str = "gacsnn.sweep.grid.GridSweeper"


class GridSweeper(BasicSweeper):
    """Made by Hydra from `hydra.sweeper`."""

    # The program's, which knows its tasks: of a job before the first, and of all after the last.
    check: Check | None = None
    conclude: Callable[[Config, Path], None] | None = None

    def sweep(self, arguments: list[str]) -> object:
        """Check all jobs, and run them.

        Raises:
            InputError: for a mistake in any job, with nothing written.
        """
        speak()
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        arguments = merge_overrides(self.params, arguments)
        self.params = {}  # which Hydra's own sweeper would merge in again
        overrides = parser.parse_overrides(arguments)
        check_ranges(overrides)
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        swept = {override.get_key_element() for override in overrides if override.is_sweep_override()}
        assert self.config is not None
        folder = Path(str(self.config.hydra.sweep.dir))
        check_writable("hydra.sweep.dir", folder)
        config = self.check_jobs(jobs, [override.key_or_group for override in overrides], swept, folder)
        make_folder("hydra.sweep.dir", folder)
        each = " ".join(sorted(swept))
        log.info(f"a grid of {len(jobs)} jobs{f' over {each}' if each else ''} -> {folder}")
        with file_errors(folder):
            done = super().sweep(arguments)
        if (conclude := type(self).conclude) is not None:
            conclude(config, folder)
        return done

    def check_jobs(
        self, jobs: Sequence[Sequence[str]], named: Collection[str], swept: Collection[str], folder: Path
    ) -> Config:
        """Returns the config of the last job."""
        assert self.hydra_context is not None
        assert self.config is not None
        compose = composer(self.hydra_context.config_loader, self.config)
        taken: dict[str, int] = {}
        config: Config | None = None
        for number, job in enumerate(jobs):
            try:
                config = compose(job)
                check_job(config)
                check = type(self).check
                own = self.folder_of(folder, number)
                if check is not None:
                    check(as_job(config, own or folder, goes_on=own is not None), named)
                written = config.output_dir or own
                if written is None or config.resume not in (None, AUTO):
                    continue
                if (first := taken.setdefault(str(Path(written).absolute()), number)) != number:
                    raise InputError(
                        f"{'output_dir' if config.output_dir else 'hydra.sweep.subdir'}={written}: is that of job {first} too; "
                        "hydra.sweep.dir=FOLDER is the folder of a whole grid"
                    )
            except InputError as error:
                if not swept:
                    raise
                which = " ".join(each for each in job if each.partition("=")[0] in swept)
                raise InputError(f"{error} (job {number} of the grid: {which})") from None
        assert config is not None
        return config

    def folder_of(self, folder: Path, number: int) -> str | None:
        """Where a job writes, where nothing else is asked for; None where only Hydra can tell."""
        assert self.config is not None
        sweep: Any = OmegaConf.to_container(self.config.hydra.sweep, resolve=False)
        name = str(sweep["subdir"]).replace("${hydra.job.num}", str(number))
        return None if "${" in name else str(folder / name)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """All have been composed already."""


def check_ranges(overrides: Sequence[Override]) -> None:
    """Raises InputError for a range without values, which makes a grid without jobs, for one that has no single values, and for
    more jobs than anyone runs, of which a list could not be held.
    """
    jobs = 1
    for override in overrides:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise InputError(
                f"{override.input_line}: a grid is of single values; a search has ranges, with sweeps=NAME or hydra/sweeper=study"
            )
        if not override.is_sweep_override():
            continue
        count = sum(1 for _ in itertools.islice(override.sweep_iterator(), MOST_JOBS + 1))
        if count == 0:
            raise InputError(
                f"{override.input_line}: holds no value; a range ends before its second number, as range(1,4)"
            )
        jobs *= count
        if jobs > MOST_JOBS:
            raise InputError(
                f"{override.input_line}: makes a grid of more than {MOST_JOBS:,} runs; a search draws some of them, with "
                "hydra/sweeper=study"
            )
