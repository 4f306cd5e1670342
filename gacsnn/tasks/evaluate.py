"""task=evaluate: a checkpoint, measured on a split -> run directory."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from gacsnn.config.saved import from_saved
from gacsnn.config.schema import Config, Evaluate
from gacsnn.data.digest import changes
from gacsnn.energy import Row
from gacsnn.errors import InputError
from gacsnn.report.by_class import Confusion, read_confusion, show, write_by_class
from gacsnn.report.run_page import write_page
from gacsnn.report.summary import conclude
from gacsnn.runtime import console
from gacsnn.runtime.group import this_group
from gacsnn.runtime.run_dir import OnEpochEnd, Result, RunDirectory, remove_leftovers
from gacsnn.tasks.checks import as_measured
from gacsnn.tasks.experiment import Experiment, announce, prepare, put_weights, run_name
from gacsnn.tasks.outcome import account, measured, write_energy
from gacsnn.tasks.rerun import compare
from gacsnn.training import checkpoint
from gacsnn.training.memory import gpu_memory_errors
from gacsnn.training.metrics import evaluate
from gacsnn.training.run_identity import strange_to_its_directory
from gacsnn.weights import is_ours


def run(config: Config, overridden: Collection[str] | None, on_epoch_end: OnEpochEnd | None = None) -> Result:
    result, _rows, run_dir = measure_checkpoint(config, overridden)
    conclude(result, run_dir.path)
    if run_dir.writes and not console.label and (confusion := read_confusion(run_dir)) is not None:
        show(confusion, run_dir)
    compare(config, run_dir)
    return result


def measure_checkpoint(config: Config, overridden: Collection[str] | None) -> tuple[Result, list[Row], RunDirectory]:
    """Measure a checkpoint, ours or one that the authors published, and write the run directory."""
    assert isinstance(config.task, Evaluate)
    assert config.checkpoint is not None
    source = f"checkpoint={config.checkpoint}"
    path = Path(config.checkpoint)
    content = this_group().share(lambda: checkpoint.read_any(path))
    if "config" in content:
        config = as_measured(from_saved(content["config"], source), config, overridden, source)
    with gpu_memory_errors(config):
        return measure(config, content, overridden)


def measure(
    config: Config, content: dict[str, Any], overridden: Collection[str] | None
) -> tuple[Result, list[Row], RunDirectory]:
    """Measure what a checkpoint holds with its checked config."""
    assert isinstance(config.task, Evaluate)
    source, split = f"checkpoint={config.checkpoint}", config.task.split
    experiment = prepare(config)
    if "classes" in content:
        check_classes(content["classes"], experiment, source)
    put_weights(experiment, content, source)
    warnings = doubts(experiment, content)
    images = experiment.splits.for_evaluation(split)
    if images is None:
        raise InputError(f"task.split={split}: with dataset.validation=0 there is no validation split")
    run_dir = experiment.new_directory(f"{config.task.name}-{run_name(config)}")
    with experiment.locked(run_dir):
        run_dir.write_config(experiment.config)
        announce(experiment, run_dir.path)
        with experiment.loader(images) as loader:
            score = evaluate(experiment.model, loader, experiment.normalise, experiment.machine, by_class=True)
        state = content.get("train_state", {})
        then = content.get("config", {}).get("task", {})
        validated = then.get("selected_by") == "validation" and state["epoch"] == state["best_epoch"]
        bare = ", a bare state dict" if is_ours(experiment.model, content) else ", the authors' weights"
        epoch = f", after epoch {state['epoch']}" if state else bare
        rows = account(score, experiment)
        result = {
            **(figures := measured(score, split, experiment, rows, state.get("epoch"))),
            "warnings": [*warnings, *figures["warnings"]],
            "epochs": state.get("epoch"),
            "steps": state.get("step"),
            "train_seconds": state.get("seconds"),
            "images_per_second": score.images / score.seconds,
            "validation_top1": state.get("best_top1") if validated else None,
            "selected_by": f"the user: {config.checkpoint}{epoch}",
        }
        write_energy(rows, run_dir)
        assert score.confusion is not None
        write_by_class(Confusion(experiment.splits.classes, score.confusion), run_dir)
        run_dir.write_result(result)
        write_page(run_dir, overridden)
    return result, rows, run_dir


def doubts(experiment: Experiment, content: dict[str, Any]) -> list[str]:
    """Return warnings: a checkpoint that belongs to another run than its directory, and images other than in training."""
    path = Path(str(experiment.config.checkpoint))
    remove_leftovers(RunDirectory(path.absolute().parent.parent))
    found = [other] if (other := strange_to_its_directory(path, content)) else []
    if "data" in content and (differ := changes(content["data"], experiment.data)):
        found.append(f"checkpoint={path}: the images are not those of its training: {differ}")
    return found


def check_classes(there: list[str], experiment: Experiment, source: str) -> None:
    here = experiment.splits.classes
    if there != here:
        raise InputError(
            f"{source}: for {len(there)} classes ({', '.join(there[:3])}, ...), "
            f"and dataset={experiment.config.dataset.name} has {len(here)} ({', '.join(here[:3])}, ...)"
        )
