"""Figures: how one is made and written, and what is drawn of a study and of firing rates."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gacsnn.runtime.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna.trial import FrozenTrial

COLOURS = {"COMPLETE": "tab:blue", "PRUNED": "tab:orange", "FAIL": "tab:red", "RUNNING": "tab:green"}

Scored = Sequence[tuple["FrozenTrial", float]]  # trials with their first objective, or what was last reported of it


def save(path: Path, draw: "Callable[[Axes], object]", size: tuple[float, float] = (6.4, 4.2)) -> Path:
    """Draw on the axes of a new figure of that size in inches, and write it as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and most runs end without a figure
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # needs no display
    draw(figure.add_subplot())
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))
    return path


def history(axes: "Axes", scored: Scored, objective: str, better: Callable[[float, float], float]) -> None:
    """Every trial's score, and the best so far; `better` is max or min."""
    by_state(axes, [(trial, trial.number, score) for trial, score in scored])
    best: list[tuple[int, float]] = []
    for trial, score in scored:
        if trial.state.name == "COMPLETE":
            best.append((trial.number, better(best[-1][1], score) if best else score))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color="tab:gray", label="best so far", zorder=1)
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="trial", ylabel=objective, title="History")
    axes.legend()


def by_state(axes: "Axes", points: "Sequence[tuple[FrozenTrial, float, float]]") -> None:
    """Trials at (x, y), coloured by what became of them."""
    for state, colour in COLOURS.items():
        places = [(x, y) for trial, x, y in points if trial.state.name == state]
        if places:
            axes.scatter(*zip(*places, strict=True), color=colour, label=state.lower(), s=24, alpha=0.7)


def t_accuracy(axes: "Axes", scored: Scored, objective: str, better: Callable[[float, float], float]) -> None:
    """Scores by T, evenly spaced, and the best of each T."""
    values = sorted({trial.params["T"] for trial, _ in scored}, key=float)
    by_state(axes, [(trial, values.index(trial.params["T"]), score) for trial, score in scored])
    best: dict[int, float] = {}
    for trial, score in scored:
        if trial.state.name == "COMPLETE":
            place = values.index(trial.params["T"])
            best[place] = better(best.get(place, score), score)
    if best:
        axes.plot(*zip(*sorted(best.items()), strict=True), color="tab:blue", label="best of each T", zorder=1)
    axes.set_xticks(range(len(values)), [str(value) for value in values])
    axes.set(xlabel="T (time steps)", ylabel=objective, title="T against accuracy")
    axes.legend()


def lr_accuracy(axes: "Axes", scored: Scored, objective: str) -> None:
    """Scores by learning rate, a line per T through the complete trials."""
    groups: dict[str, list[tuple[float, float, bool]]] = {}
    for trial, score in sorted(scored, key=lambda pair: float(pair[0].params.get("T", 0))):
        complete = trial.state.name == "COMPLETE"
        label = f"T={trial.params['T']}" if "T" in trial.params else "complete"
        groups.setdefault(label, []).append((float(trial.params["optimizer.lr"]), score, complete))
    for index, (label, points) in enumerate(groups.items()):
        whole = sorted((rate, score) for rate, score, complete in points if complete)
        rates, scores = [rate for rate, _ in whole], [score for _, score in whole]
        axes.plot(rates, scores, marker="o", color=f"C{index}", label=label, linewidth=1, markersize=4)
        for rate, score, complete in points:
            if not complete:
                axes.plot(rate, score, marker="x", color=f"C{index}", markersize=5)
    if not all(complete for points in groups.values() for *_, complete in points):
        axes.plot([], [], marker="x", color="tab:gray", linestyle="", markersize=5, label="not complete")
    axes.set_xscale("log")
    axes.set(xlabel="learning rate", ylabel=objective, title="Learning rate against accuracy")
    axes.legend()


def pareto(axes: "Axes", trials: "Sequence[FrozenTrial]", front: set[int], objectives: Sequence[str]) -> None:
    """Complete trials by their two objectives, and those that no other beats in both."""
    best = sorted((trial for trial in trials if trial.number in front), key=lambda trial: trial.values[1])
    others = [trial for trial in trials if trial.number not in front]
    axes.scatter([t.values[1] for t in others], [t.values[0] for t in others], color="tab:gray", s=24)
    x, y = [trial.values[1] for trial in best], [trial.values[0] for trial in best]
    axes.plot(x, y, marker="o", drawstyle="steps-post", color="tab:red", markersize=5, label="front")
    for trial, place in zip(best, zip(x, y, strict=True), strict=True):
        if "T" in trial.params:
            label = f"T={trial.params['T']}"
            axes.annotate(label, place, textcoords="offset points", xytext=(-4, 3), ha="right", fontsize=8)
    axes.margins(x=0.12, y=0.08)  # room for the labels
    axes.set(xlabel=objectives[1], ylabel=objectives[0], title="Pareto front")
    axes.legend()


def curves(axes: "Axes", rows: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Top-1 by epoch: of each row the mean over its runs, and the range of them as a band."""
    for label, runs in rows.items():
        length = min(map(len, runs))
        epochs = range(1, length + 1)
        steps = [[run[index] for run in runs] for index in range(length)]
        (line,) = axes.plot(epochs, [sum(step) / len(step) for step in steps], label=f"{label} (n={len(runs)})")
        if len(runs) > 1:
            axes.fill_between(epochs, list(map(min, steps)), list(map(max, steps)), color=line.get_color(), alpha=0.15)
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel="top-1, %", title="Top-1 by epoch: mean and range over seeds")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def importance_bars(axes: "Axes", importance: Mapping[str, float]) -> None:
    bars = axes.barh(list(importance), list(importance.values()))
    axes.invert_yaxis()  # the greatest on top
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.margins(x=0.12)
    axes.set(xlabel="share", title="Importance of the parameters")


def firing_rates(axes: "Axes", rates: Mapping[str, Sequence[float]]) -> None:
    """Rates in percent by layer and time step, each written into its cell."""
    T = max(map(len, rates.values()))
    brightest = max(map(max, rates.values())) or 1.0
    image = axes.imshow(list(rates.values()), aspect="auto", cmap="viridis", vmin=0, vmax=brightest)
    for y, row in enumerate(rates.values()):
        for x, rate in enumerate(row):
            colour = "white" if rate < 0.6 * brightest else "black"
            axes.text(x, y, f"{rate:.1f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(T), [str(t + 1) for t in range(T)])
    axes.set_yticks(range(len(rates)), list(rates), fontsize=8)
    axes.set(xlabel="time step", ylabel="spiking layer")
    axes.set_title("Firing rate, %", fontsize=10)
    axes.figure.colorbar(image, label="%")
