"""What the keys of `result.json` are called where people read them, with their units; the same for files, figures and pages."""

WORDS = {
    "validation_top1": "validation top-1, %",
    "top1": "test top-1, %",
    "energy_mj": "energy, mJ per image",
    "energy_full_mj": "energy in full, mJ per image",
    "firing_rate": "firing rate, spikes per step",
    "sops": "synaptic operations per image",
    "macs": "MACs per image",
    "params": "parameters",
    "train_seconds": "training time, s",
    "images_per_second": "images/s in training",
}


def figure(value: float | None, spec: str, unit: str = "", factor: float = 1.0) -> str:
    """Return a figure of a `result.json` in words, such as `91.25 %`; a figure that is null is unknown."""
    return "unknown" if value is None else f"{factor * value:{spec}}{unit}"


def in_epochs(epochs: int) -> str:
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def word(name: str) -> str:
    return WORDS.get(name, name)
