"""What training costs on this machine, kept beside what it cost on others: writes `docs/performance.md`.

    python benchmarks/performance.py measure [--only NAME ...]    # adds benchmarks/results/DATE.json; an hour, on an idle machine
    python benchmarks/performance.py gpu [--only NAME ...]        # adds benchmarks/results/DATE-GPU.json; two minutes
    python benchmarks/performance.py                              # the page, from all results

A results file holds the `benchmark.json` of each command below, and what loaders gave. Measuring some again replaces these in the
day's file. What a step takes on a GPU is also predicted, by the model that the page states.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gacsnn.config.text import to_json  # noqa: E402
from gacsnn.report.benchmark import grown, slope, times  # noqa: E402
from gacsnn.report.table import Align, text  # noqa: E402
from gacsnn.runtime.cores import SPINS, spin_briefly  # noqa: E402
from gacsnn.runtime.provenance import git_commit  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"

Found = Mapping[str, Any]

CIFAR_18 = ("model=resnet18", "dataset=synthetic", "optimizer=sgd", "batch_size=8")
IMAGENET = ("dataset=synthetic", "dataset.size=224", "dataset.layout=imagenet", "optimizer=sgd", "batch_size=2")

COMMANDS: dict[str, tuple[str, ...]] = {
    "CIFAR-18 T=4": (*CIFAR_18, "T=4", "task.rounds=5"),
    "CIFAR-18 T=4 bf16": (*CIFAR_18, "T=4", "task.rounds=15", "hardware.precision=bf16"),
    "CIFAR-18 T=6": (*CIFAR_18, "T=6", "task.rounds=5"),
    "CIFAR-18 T=6 bf16": (*CIFAR_18, "T=6", "task.rounds=15", "hardware.precision=bf16"),
    "CIFAR-18 T=1": (*CIFAR_18, "T=1", "task.rounds=5"),
    "CIFAR-18 T=2": (*CIFAR_18, "T=2", "task.rounds=5"),
    "CIFAR-18 T=8": (*CIFAR_18, "T=8", "task.rounds=5"),
    "CIFAR-18 T=4, channels first": (*CIFAR_18, "T=4", "task.rounds=5", "hardware.channels_last=false"),
    "default network": ("task.rounds=30",),
    "ImageNet-18 T=4 bf16": ("model=resnet18", *IMAGENET, "T=4", "task.rounds=1", "hardware.precision=bf16"),
    "ImageNet-34 T=4 bf16": ("model=resnet34", *IMAGENET, "T=4", "task.rounds=1", "hardware.precision=bf16"),
}

LOADERS, ACCURACY, IDEAS = "loaders", "accuracy", "ideas"

GROWTH = tuple(f"CIFAR-18 T={T}" for T in (1, 2, 4, 6, 8))

# Batches that fill a GPU; of these there are counts from CPUs, too, for GPUs that nobody has measured.
PREDICTED = (
    ("CIFAR-18 T=4 bf16", 128),
    ("CIFAR-18 T=6 bf16", 128),
    ("ImageNet-18 T=4 bf16", 64),
    ("ImageNet-34 T=4 bf16", 64),
)


def on_gpu(name: str, size: int, *more: str) -> tuple[str, ...]:
    """A command above, in batches of another size."""
    kept = (each for each in COMMANDS[name] if each.partition("=")[0] not in ("batch_size", "task.rounds"))
    return *kept, f"batch_size={size}", "task.rounds=10", *more


BF16, NO_GRAPHS = "hardware.precision=bf16", "hardware.cuda_graphs=false"
ON_GPU: dict[str, tuple[str, ...]] = {f"{name}, batch {size}": on_gpu(name, size) for name, size in PREDICTED} | {
    "CIFAR-18 T=4 bf16, batch 128, without graphs": on_gpu("CIFAR-18 T=4 bf16", 128, NO_GRAPHS),
    "CIFAR-18 T=4 bf16, batch 8": on_gpu("CIFAR-18 T=4 bf16", 8),
    "CIFAR-18 T=4, batch 128": on_gpu("CIFAR-18 T=4", 128),
    "default network bf16, batch 32": on_gpu("default network", 32, BF16),
    "default network bf16, batch 32, without graphs": on_gpu("default network", 32, BF16, NO_GRAPHS),
}

# NVIDIA's data sheets of the SXM forms: dense FLOPs a second in bfloat16, and bytes of memory a second.
GPUS = {"H100": (989e12, 3.35e12), "H200": (989e12, 4.8e12)}

# What is reached of them, and the host's seconds for an operation (Python, autograd, launch), where there are no CUDA graphs:
# guesses, made before a GPU was there to test them.
CONVOLUTIONS_REACH, MEMORY_REACH, HOST = 0.45, 0.80, 10e-6

# What loaders read, as it stands in the table.
SMALL, PHOTOGRAPHS = "CIFAR, crop and flip", "JPEG of 500x375, random crop to 224x224, flip"

# cuDNN computes float32 convolutions in TF32, at half of bfloat16's rate, unless told otherwise.
RATES = {"fp32": 0.5, "bf16": 1.0, "fp16": 1.0}


def measure(names: Sequence[str], gpu: str | None = None) -> None:
    file = RESULTS / f"{date.today()}{f'-{gpu}' if gpu else ''}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    commands = ON_GPU if gpu else COMMANDS
    for name in names:
        print(f"{name}:", flush=True)
        found[name] = {"git_commit": git_commit()} | (OTHERS[name]() if name in OTHERS else benchmark(commands[name]))
        RESULTS.mkdir(exist_ok=True)
        file.write_text(to_json(found, indent=1) + "\n")


def benchmark(options: Sequence[str]) -> dict[str, Any]:
    """`benchmark.json` of a command, without the config and without what names the machine's host."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "launch.py"), "task=benchmark", *options, f"output_dir={folder}/made"]
        subprocess.run(command, check=True, cwd=folder)
        found = json.loads((Path(folder) / "made" / "benchmark.json").read_text())
    return {name: value for name, value in found.items() if name not in ("config", "machine")} | {
        "options": " ".join(options)
    }


def loaders() -> dict[str, Any]:
    """Images a second that one process reads and augments, by what they are."""
    import torch

    from gacsnn.config.schema import Augment
    from gacsnn.data.images import Images
    from gacsnn.data.transforms import training_transform

    torch.set_num_threads(1)
    plain = {"crop_padding": 0, "flip": False, "rotation": 0.0, "resized_crop": False, "auto_augment": "none"}
    small = torch.randint(256, (20_000, 3, 32, 32), dtype=torch.uint8)
    of_small = {
        "CIFAR, nothing done": plain,
        SMALL: {**plain, "crop_padding": 4, "flip": True},
        "CIFAR, crop, flip and AutoAugment": {**plain, "crop_padding": 4, "flip": True, "auto_augment": "cifar10"},
    }
    rates = {
        name: rate(Images(small, torch.zeros(len(small)).long(), training_transform(Augment(**options), 32)), 128)
        for name, options in of_small.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        options = Augment(**{**plain, "resized_crop": True, "flip": True})
        images = Images(photographs(Path(folder), 100), torch.zeros(100).long(), training_transform(options, 224, 256))
        rates[PHOTOGRAPHS] = rate(images, 50)
    return {"images_per_second": rates}


def accuracy() -> dict[str, Any]:
    """Top-1 on the test split of the default run, 5 seeds by each path."""
    with tempfile.TemporaryDirectory() as folder:
        grid = ["-m", "seed=range(5)", "hardware.kernels=plain,fused", f"hydra.sweep.dir={folder}/grid"]
        subprocess.run([sys.executable, str(ROOT / "launch.py"), *grid], check=True, cwd=folder)
        results = [json.loads(file.read_text()) for file in Path(folder).glob("grid/*/result.json")]
    rows = sorted((each["kernels"], each["seed"], each["top1"], each["images_per_second"]) for each in results)
    return {"runs": {path: [row[1:] for row in rows if row[0] == path] for path in ("plain", "fused")}}


def photographs(folder: Path, count: int) -> list[str]:
    """JPEGs of 500x375, ImageNet's mean size: smooth noise, which compresses about as photographs do."""
    import numpy as np
    from PIL import Image

    drawn = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(drawn.integers(0, 256, (75, 100, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
    return [str(folder / f"{number}.jpg") for number in range(count)]


def rate(images: Any, batch_size: int) -> float:
    """The best of three epochs, or of what two seconds hold."""
    from gacsnn.data.loader import batches

    best = 0.0
    with batches(images, batch_size, shuffle=True, seed=0, workers=0, pin_memory=False) as loader:
        for _ in range(3):
            begun, count = time.perf_counter(), 0
            for batch in loader:
                count += len(batch[0])
                if time.perf_counter() - begun > 2:
                    break
            best = max(best, count / (time.perf_counter() - begun))
    return best


def ideas() -> dict[str, Any]:
    """Milliseconds without and with what was tried, of what is not a network's step as a whole."""
    import torch

    from gacsnn import create_model
    from gacsnn.config.schema import Adam
    from gacsnn.data.images import Images
    from gacsnn.data.transforms import Geometric
    from gacsnn.training.optim import make_optimizer

    def adam(fused: bool) -> Callable[[], object]:
        model = create_model("resnet18", T=4, num_classes=10).to(memory_format=torch.channels_last)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        return make_optimizer(
            model, Adam(name="adam", lr=1e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0), fused
        ).step

    def augmented(side: int, **options: Any) -> tuple[Callable[[], object], Callable[[], object]]:
        images = Images(
            torch.randint(256, (128, 3, side, side), dtype=torch.uint8),
            torch.zeros(128).long(),
            Geometric(side, **options),
        )
        items = [(index, 7919 * index) for index in range(128)]
        return lambda: torch.stack([images[item][0] for item in items]), lambda: images.batch(items)

    pairs = {
        "Adam's step over CIFAR-18's weights, in one pass": (adam(False), adam(True)),
        "128 CIFAR images cropped and flipped, at once": augmented(32, padding=4, flip=True),
        "128 digits cropped and rotated, at once": augmented(8, padding=1, rotation=10.0),
    }
    made = {name: [1000 * median_seconds(work) for work in pair] for name, pair in pairs.items()}
    brief = {"GOMP_SPINCOUNT": str(SPINS)}
    name = "the default network forward and back"
    made[f"{name}, freed memory kept"] = small_steps([(brief, []), (brief, ["kept"])], 60, 5)
    made[f"{name}, threads that spin briefly"] = small_steps([(GNU, []), (brief, [])], 60, 5)
    made[f"the same, two at once on {os.cpu_count()} cores"] = small_steps([(GNU, []), (brief, [])], 12, 2, at_once=2)
    return {"milliseconds": made}


# glibc's mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD at the most that they can be.
SMALL_STEP = """
import ctypes, statistics, sys, time
import torch
from gacsnn import create_model
from gacsnn.kernels import cpu
from gacsnn.kernels.fused import Fused

if "kept" in sys.argv:
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(-1, 2**31 - 1)
    mallopt(-3, 32 * 2**20)
model = create_model("resnet8", T=4, num_classes=10, width=0.25).to(memory_format=torch.channels_last)
model.use(Fused(cpu))
images, taken = torch.rand(32, 3, 8, 8).contiguous(memory_format=torch.channels_last), []
for _ in range(int(sys.argv[1])):
    begun = time.perf_counter()
    model.zero_grad(set_to_none=True)
    model(images).sum().backward()
    taken.append(time.perf_counter() - begun)
print(1000 * statistics.median(taken[len(taken) // 6:]))
"""

GNU = {"GOMP_SPINCOUNT": "300000"}  # libgomp's own number, where nothing is said


def small_steps(
    ways: Sequence[tuple[Mapping[str, str], Sequence[str]]], steps: int, rounds: int, at_once: int = 1
) -> list[float]:
    """Milliseconds of a step of the default network by each way: an environment and what the process is told. Each time has a
    process of its own, or some at once, and the ways take turns."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for (environment, told), taken in zip(ways, found, strict=True):
            command = [sys.executable, "-c", SMALL_STEP, str(steps), *told]
            made = [
                subprocess.Popen(
                    command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
                )
                for _ in range(at_once)
            ]
            taken += [float(process.communicate()[0]) for process in made]
    return [statistics.median(taken) for taken in found]


def median_seconds(work: Callable[[], object], warm: int = 3, times: int = 30) -> float:
    taken = []
    for _ in range(warm + times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[warm:])


OTHERS: dict[str, Callable[[], dict[str, Any]]] = {LOADERS: loaders, ACCURACY: accuracy, IDEAS: ideas}
EVERY = [*COMMANDS, *OTHERS]


class Row:
    """A path of a `benchmark.json`, beside the plain path and the floor of the same phase."""

    def __init__(self, found: Found, phase: str, path: str) -> None:
        rows = {(row["phase"], row["path"]): row for row in found["rows"]}
        self.row, self.plain, self.floor = (rows[phase, name] for name in (path, "plain", "floor"))
        self.jelly = rows.get((phase, "spikingjelly"))

    @property
    def times_plain(self) -> float:
        return times(self.plain, self.row)

    @property
    def of_floor(self) -> float:
        return times(self.row, self.floor)

    @property
    def times_jelly(self) -> str:
        return f"{times(self.jelly, self.row):.2f}" if self.jelly else "not installed"

    def share(self, name: str) -> float:
        """What it takes of the plain path's."""
        return self.row[name] / self.plain[name]


def predicted(row: Row, path: Found, gpu: tuple[float, float], host: bool = True) -> tuple[float, float]:
    """Seconds of a training step on a GPU, and of the convolutions alone; `host`: it starts each operation by itself."""
    flops, bandwidth = gpu
    rate, batch_size = RATES[path["precision"]] * flops * CONVOLUTIONS_REACH, path["batch_size"]
    convolutions = row.floor["flops_per_image"] * batch_size / rate
    memory = path["moved_bytes_per_image"] * batch_size / (MEMORY_REACH * bandwidth)
    return max(convolutions + memory, HOST * path["operations"] if host else 0), convolutions


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """In Markdown; the first columns are words, the others numbers."""
    align: list[Align] = ["left" if column < words else "right" for column in range(len(head))]
    return "\n".join(text(rows, head, align, "github"))


def steps(found: Mapping[str, Found]) -> str:
    head = [
        *("", "plain, ms", "here, ms", "x plain", "of its floor", "x SpikingJelly", "saved of plain", "moved of plain"),
        "evaluation x plain",
    ]
    rows = []
    for name in COMMANDS:
        if name in found:
            train, evaluation = Row(found[name], "train", "auto"), Row(found[name], "eval", "auto")
            both = [f"{1000 * row['seconds']:,.0f}" for row in (train.plain, train.row)]
            shares = [f"{train.share(key):.2f}" for key in ("saved_bytes_per_image", "moved_bytes_per_image")]
            ratios = [
                f"{train.times_plain:.2f}",
                f"{train.of_floor:.2f}",
                train.times_jelly,
                *shares,
                f"{evaluation.times_plain:.2f}",
            ]
            rows.append([name, *both, *ratios])
    return table(head, rows)


def growth(found: Mapping[str, Found]) -> str:
    """Milliseconds of the convolutions by T, the step's beside them in the same rounds, and the slopes of both."""
    there = {name: grown(found[name]["rows"]) for name in GROWTH if name in found}
    cells = [[name, f"{1000 * at.step:,.0f}", f"{1000 * at.floor:,.0f}"] for name, at in there.items()]
    costs = f"The step is the convolutions' time by the ratio within rounds. {slope(list(there.values()))}"
    return "\n".join([table(["", "step, ms", "its convolutions alone, ms"], cells), "", costs])


def of_gpu(found: Mapping[str, Found], rates: Found | None) -> str:
    """Of each step on a GPU: measured, and in brackets what the model says; and the processes whose loaders keep up with it."""
    rows = []
    for name in ON_GPU:
        if name in found:
            row, evaluation = Row(found[name], "train", "auto"), Row(found[name], "eval", "auto")
            sheet = next(sheet for gpu, sheet in GPUS.items() if gpu in found[name]["device"])
            ours, floor = predicted(row, row.row, sheet, host=False)
            plain, _ = predicted(row, row.plain, sheet)
            pairs = [
                (row.plain["seconds"] * 1000, 1000 * plain, "{:,.1f}"),
                (row.row["seconds"] * 1000, 1000 * ours, "{:,.1f}"),
                (row.times_plain, plain / ours, "{:.1f}"),
                (row.of_floor, ours / floor, "{:.2f}"),
            ]
            cells = [f"{kind.format(measured)} ({kind.format(guess)})" for measured, guess, kind in pairs]
            speed = row.row["images_per_second"]
            read = PHOTOGRAPHS if name.startswith("ImageNet") else SMALL
            processes = f"{math.ceil(speed / rates['images_per_second'][read])}" if rates else "not measured"
            rows.append([name, *cells, row.times_jelly, f"{speed:,.0f}", f"{evaluation.times_plain:.1f}", processes])
    head = [
        *("", "plain, ms", "here, ms", "x plain", "of its floor", "x SpikingJelly", "images/s", "evaluation x plain"),
        "processes that load as fast",
    ]
    return table(head, rows)


def unmeasured(days: Sequence[Mapping[str, Found]], gpus: Sequence[str]) -> str:
    """What the model says of GPUs, from what was counted elsewhere, on the newest of the days on which it was."""
    rows = []
    for name, size in PREDICTED:
        found = next((day for day in days if name in day), None)
        if found is not None:
            row = Row(found[name], "train", "auto")
            path, plain = ({**each, "batch_size": size} for each in (row.row, row.plain))
            for gpu in gpus:
                ours, floor = predicted(row, path, GPUS[gpu], host=False)
                theirs, _ = predicted(row, plain, GPUS[gpu])
                ratios = (f"({theirs / ours:.1f})", f"({ours / floor:.2f})")
                rows.append([f"{name}, batch {size}", gpu, "not measured", f"({1000 * ours:,.1f})", *ratios])
    return table(["", "GPU", "here, ms", "", "x plain", "of its floor"], rows, 2)


def loading(found: Found) -> str:
    rates = found["images_per_second"]
    return table(["images", "images/s of one process"], [[name, f"{value:,.0f}"] for name, value in rates.items()])


def accuracies(found: Mapping[str, Sequence[tuple[int, float, float]]]) -> str:
    head = [
        "kernels",
        *(f"seed {seed}" for seed, _, _ in found["plain"]),
        "mean ± standard deviation",
        "images/s, median",
    ]
    rows = []
    for path, runs in found.items():
        tops = [top1 for _, top1, _ in runs]
        spread = f"{statistics.fmean(tops):.2f} ± {statistics.stdev(tops):.2f}"
        rows.append(
            [path, *(f"{top1:.2f}" for top1 in tops), spread, f"{statistics.median(rate for *_, rate in runs):,.0f}"]
        )
    return table(head, rows)


def of_day(file: Path) -> str:
    found = json.loads(file.read_text())
    made = {name: each for name, each in found.items() if name in COMMANDS}
    first = next(iter(made.values()))
    versions = ", ".join(f"{name} {first['versions'][name]}" for name in ("python", "torch"))
    commits = {name: each["git_commit"][:12] for name, each in found.items()}
    others = [f"{name} {commits[name]}" for name in OTHERS if name in commits]
    measured_at = ", ".join([*sorted({commits[name] for name in made}), *others])
    parts = [
        f"## {file.stem}: {first['device']}",
        f"{versions}; commit {measured_at}. `here` is what `hardware=auto` takes; `plain` is always float32 on a CPU.",
        steps(found),
    ]
    if len([name for name in GROWTH if name in found]) > 1:
        parts += ["### Growth with T", growth(found)]
    if IDEAS in found:
        rows = [
            [name, f"{before:.1f}", f"{after:.1f}", f"{before / after:.1f}"]
            for name, (before, after) in found[IDEAS]["milliseconds"].items()
        ]
        parts += ["### Of what was tried", table(["", "without, ms", "with, ms", "times as fast"], rows)]
    if ACCURACY in found:
        parts += ["### Accuracy", accuracies(found[ACCURACY]["runs"])]
    if LOADERS in found:
        parts += ["### Input", loading(found[LOADERS])]
    return "\n\n".join(parts)


GUESSES = (
    "In brackets: what a step should take by what it computes and moves, which is counted: convolutions at "
    f"{CONVOLUTIONS_REACH:.0%} of the data sheet's rate (half as fast in float32, which cuDNN computes in TF32), then all other "
    f"bytes at {MEMORY_REACH:.0%} of the memory's rate; or, without CUDA graphs, {1e6 * HOST:.0f} microseconds an operation, "
    "which the host needs to start it, where that is longer. They were guessed before there was a GPU, and are left as they were."
)


def is_of_gpu(file: Path) -> bool:
    return file.stem.count("-") > 2


def page() -> str:
    files = sorted(RESULTS.glob("*.json"), reverse=True)
    story = (ROOT / "benchmarks" / "performance.md").read_text().strip()
    found = {file: json.loads(file.read_text()) for file in files}
    rates = next((each[LOADERS] for file, each in found.items() if LOADERS in each and not is_of_gpu(file)), None)
    of_gpus = [of_gpu_day(file, each, rates) for file, each in found.items() if is_of_gpu(file)]
    missing = [gpu for gpu in GPUS if not any(gpu in file.stem for file in files)]
    if missing:
        of_gpus.append(unmeasured([found[file] for file in files if not is_of_gpu(file)], missing))
    parts = [story, "## GPUs", GUESSES, *of_gpus, *(of_day(file) for file in files if not is_of_gpu(file))]
    return "\n\n".join(parts) + "\n"


def of_gpu_day(file: Path, found: Mapping[str, Found], rates: Found | None) -> str:
    first = next((each for name, each in found.items() if name in ON_GPU), None)
    if first is None:
        return f"### {file.stem}"
    versions = ", ".join(f"{name} {first['versions'][name]}" for name in ("python", "torch"))
    commits = ", ".join(sorted({f"{each['git_commit']}"[:12] for each in found.values()}))
    head = f"### {first['device']}, {file.stem[:10]}"
    said = (
        f"{versions}; commit {commits}. `plain` is float32 on CIFAR (its convolutions in TF32) and float16 on ImageNet, as the "
        "authors' programs are there. Loaders are those of a CPU below."
    )
    more = ["Top-1 on digits:", accuracies(found[ACCURACY]["runs"])] if ACCURACY in found else []
    return "\n\n".join([head, said, of_gpu(found, rates), *more])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", nargs="?", choices=["measure", "gpu"])
    parser.add_argument("--only", nargs="+", metavar="NAME")
    options = parser.parse_args()
    there = ON_GPU.keys() | {ACCURACY} if options.do == "gpu" else set(EVERY)
    if wrong := set(options.only or ()) - there:
        parser.error(f"{min(wrong)}: not one of {'; '.join(sorted(there))}")
    if options.do == "measure":
        spin_briefly()
        measure(options.only or EVERY)
    if options.do == "gpu":
        import torch

        if not torch.cuda.is_available():
            parser.error("gpu: PyTorch finds no CUDA device here")
        card = torch.cuda.get_device_name()
        name = next((gpu for gpu in GPUS if gpu in card), None)
        if name is None:
            parser.error(f"{card}: its data sheet is not among GPUS")
        measure(options.only or [*ON_GPU, ACCURACY], name)
    PAGE.write_text(page())
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
