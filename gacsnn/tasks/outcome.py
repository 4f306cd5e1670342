"""From what was measured to the files of a run. The tasks share it."""

from typing import Any

from gacsnn.energy import Row, energy_account, extremes, totals
from gacsnn.report.energy import write_csv
from gacsnn.runtime.provenance import provenance
from gacsnn.runtime.run_dir import RunDirectory
from gacsnn.tasks.experiment import Experiment, parameter_count
from gacsnn.training.metrics import Score, chance_warning


def account(score: Score, experiment: Experiment) -> list[Row]:
    """Where the energy per image goes, at the firing rates just measured."""
    return energy_account(
        experiment.model, experiment.image_size(), score.rates_by_step, **experiment.config.energy.model_dump()
    )


def write_energy(rows: list[Row], run_dir: RunDirectory) -> None:
    if run_dir.writes:
        write_csv(rows, run_dir.energy_path)


def measured(score: Score, split: str, experiment: Experiment, rows: list[Row], epochs: int | None) -> dict[str, Any]:
    """Return the part of `result.json` that training and evaluation share.

    The warning of a result at chance needs a finished epoch (`epochs` is None for weights of unknown age), and no limit on steps
    or images: such a run tries the program out, and its figures say nothing about the network.
    """
    config = experiment.config
    is_trial = epochs == 0 or any(
        limit is not None for limit in (config.max_steps, config.limit_train, config.limit_eval)
    )
    odd = None if is_trial else chance_warning(score, experiment.splits.classes, split)
    return {
        "top1": score.top1,
        "top5": score.top5,
        "loss": score.loss,
        "firing_rate": score.firing_rate,
        **totals(rows),
        **extremes(experiment.model, score.rates_by_step),
        "energy_constants": experiment.config.energy.model_dump(),
        "split": split,
        "images": score.images,
        "data": experiment.data,
        "warnings": [] if odd is None else [odd],
        "params": parameter_count(experiment.model),
        **provenance(experiment.config, experiment.machine.describe(), experiment.kernels),
    }
