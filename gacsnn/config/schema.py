"""The schema: every option, its type, range, unit and a sentence of help. What a run does depends on nothing else."""

import itertools
from types import UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gacsnn.errors import no_such

# Each range ends far beyond what anyone trains, and before what no machine can hold or torch overflows with.
LARGEST = 1e9  # of a float: products of a few still fit a float32, whose end is 3e38
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
LearningRate = Annotated[float, Field(gt=0, le=1e30)]  # one that only diverges is for a training to tell
Count = Annotated[int, Field(ge=1, le=10**12)]
Steps = Annotated[int, Field(ge=1, le=10_000)]  # of time: networks converted from others take up to some thousands
Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
Batch = Annotated[int, Field(ge=1, le=1_000_000)]  # the largest published ones are of some ten thousands
Width = Annotated[float, Field(gt=0, le=100)]  # wide networks are some ten times as wide
Size = Annotated[int, Field(ge=1, le=65_536)]  # pixels of a side, which no JPEG has more of; channels; blocks
Processors = Annotated[int, Field(ge=1, le=65_536)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as NumPy and scikit-learn have it
Channels = Annotated[list[float], Field(min_length=3, max_length=3)]
Layout = Literal["cifar", "imagenet"]


class Options(BaseModel):
    """A group of options: no unknown keys, no silent conversions, no change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def option(help: str, **constraints: Any) -> Any:
    """A field with its sentence of help. An option that is added gets a `default`, so that older configs are read."""
    return Field(description=help, **constraints)


class Augment(Options):
    """What is done to each training image."""

    crop_padding: int = option("pixels of padding for a random crop of the image's own size; 0: no crop", ge=0, le=1000)
    flip: bool = option("flip left to right, one image in two")
    rotation: float = option("largest random rotation, degrees either way", ge=0, le=180)
    resized_crop: bool = option("crop a random part and resize it to `size` (RandomResizedCrop)")
    auto_augment: Literal["none", "cifar10", "imagenet"] = option("AutoAugment policy")


Name = TypeVar("Name", bound=str)


class Dataset(Options, Generic[Name]):
    """What every data set has."""

    name: Name
    layout: Layout = option("which stem and stages suit these images")
    mean: Channels | None = option("mean of the three channels, pixels in [0, 1]; null: measured on the training split")
    std: Channels | None = option("standard deviation of the channels; null: measured on the training split")
    measured: list[Literal["mean", "std"]] = Field(default=[])  # written by a run: what null above came out as
    validation: float = option("fraction of the training images held out for validation; 0: none", ge=0, lt=1)
    split_seed: Seed = option("seed of the split into training and validation; not that of the run")
    augment: Augment

    @field_validator("mean", "std")
    @classmethod
    def _of_pixels(cls, values: list[float] | None) -> list[float] | None:
        if values is not None and not all(0 <= each <= 1 for each in values):
            raise ValueError("each must be from 0 to 1, as pixels are here; numbers of 0 to 255 are divided by 255")
        return values

    @field_validator("std")
    @classmethod
    def _not_zero(cls, std: list[float] | None) -> list[float] | None:
        if std is not None and min(std) <= 0:
            raise ValueError("each must be greater than 0")
        return std


class Digits(Dataset[Literal["digits"]]):
    test: float = option("fraction of the images held out as the test split, where none is given", gt=0, lt=1)


class Cifar(Dataset[Literal["cifar10", "cifar100"]]):
    root: str = option("folder of torchvision's files")
    download: bool = option("fetch the files when they are missing")


class Folder(Dataset[Literal["imagenet", "image_folder"]]):
    """Class folders of images: `root/train/<class>/*` and `root/val/<class>/*`, or `root/<class>/*` alone."""

    root: str = option("folder of the images")
    train_folder: str = option("training images, below root; where train is missing, root itself holds the classes")
    test_folder: str = option(
        "test images, below root; where val is missing, or '' given, the fraction `test` of the images is held out"
    )
    test: float = option("fraction of the images held out as the test split, where none is given", gt=0, lt=1)
    size: Size = option("side of the square that the network sees, pixels")
    resize: Size = option("shorter side before the centre crop to `size`, pixels")
    check_images: bool = option("decode every image once before any work; false: only a sample")
    bad_images: Literal["stop", "skip"] = option("what to do about an image that cannot be decoded")

    @model_validator(mode="after")
    def _crop_fits(self) -> "Folder":
        if self.resize < self.size:
            raise ValueError(f"resize={self.resize} must be at least size={self.size}")
        if self.bad_images == "skip" and not self.check_images:
            raise ValueError("bad_images=skip needs check_images=true, which finds them")
        return self


class Synthetic(Dataset[Literal["synthetic"]]):
    """Random images with a weak pattern a class; for benchmarks and smoke tests only."""

    size: int = option("side of the square that the network sees, pixels", ge=4, le=65_536)
    num_classes: int = option("number of classes", ge=1, le=1_000_000)
    images: int = option("number of images in all splits together", ge=10, le=10**9)


AnyDataset = Digits | Cifar | Folder | Synthetic


# The networks of each layout, by name. networks.py has the networks themselves; a test compares the two.
NETWORKS: dict[Layout, tuple[str, ...]] = {
    "cifar": ("resnet8", "resnet18", "resnet34", "resnet104", "max_resnet18"),
    "imagenet": ("resnet8", "resnet18", "resnet34", "resnet104"),
}


class Model(Options):
    name: str = option(f"network: {', '.join(dict.fromkeys(itertools.chain(*NETWORKS.values())))}")
    layout: Layout = option("cifar: small stem, three stages; imagenet: large stem, four stages")
    width: Width = option("multiplier of all channel counts")
    stages: Annotated[list[Annotated[list[Size], Field(min_length=3, max_length=3)]], Field(min_length=1)] | None = (
        option("rows [width, blocks, first stride] in place of the network's own")
    )

    @model_validator(mode="after")
    def _known(self) -> "Model":
        everywhere = dict.fromkeys(itertools.chain(*NETWORKS.values()))
        if self.name not in everywhere:
            raise ValueError(no_such("model", self.name, everywhere))
        if self.name not in NETWORKS[self.layout]:
            names = ", ".join(NETWORKS[self.layout])
            raise ValueError(f"model={self.name}: there is none in the layout {self.layout}; choose one of {names}")
        return self


class GAC(Options):
    name: Literal["gac"]
    kernel: Size = option("side of SCA's two convolutions")
    gate: Literal["stem", "image"] = option("what the gate reads: the stem's current, or the image beside the stem")


class Latency(Options):
    name: Literal["latency"]
    curve: Literal["linear", "log"] = option("how brightness becomes the time of the spike")


class PlainEncoder(Options):
    name: Literal["direct", "poisson", "phase"]


class Neuron(Options):
    decay: float = option("factor of the membrane potential from one step to the next", ge=0, le=1)
    threshold: Positive = option("a neuron fires above this membrane potential")
    surrogate: Literal["triangle", "rectangle"] = option("shape of ds/dh in the backward pass")
    surrogate_width: Positive = option("width of the surrogate")
    detach_reset: bool = option("take the reset as a constant in the backward pass")


class SGD(Options):
    name: Literal["sgd"]
    lr: LearningRate = option("learning rate at the start")
    momentum: Fraction = option("momentum")
    nesterov: bool = option("Nesterov's form of momentum")
    weight_decay: NotNegative = option("L2 penalty; adamw: decoupled decay")

    @model_validator(mode="after")
    def _nesterov(self) -> "SGD":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs momentum > 0")
        return self


class Adam(Options):
    name: Literal["adam", "adamw"]
    lr: LearningRate = option("learning rate at the start")
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = option("decay of the two moments")
    eps: Positive = option("added to the denominator")
    weight_decay: NotNegative = option("L2 penalty; adamw: decoupled decay")


class Scheduler(Options):
    interval: Literal["epoch", "step"] = option("when the learning rate changes")
    warmup_epochs: NotNegative = option("epochs of linear rise at the start")


class Cosine(Scheduler):
    name: Literal["cosine"]
    final_fraction: float = option("learning rate at the end, as a fraction of the first", ge=0, le=1)


class Step(Scheduler):
    name: Literal["step"]
    every_epochs: Epochs = option("epochs between drops")
    factor: float = option("the learning rate is multiplied by this at each drop", gt=0, le=1)


class Constant(Scheduler):
    name: Literal["constant"]


class CrossEntropy(Options):
    name: Literal["cross_entropy"]
    label_smoothing: Fraction = option("fraction of the target spread over all classes")


class TET(Options):
    name: Literal["tet"]
    lamb: float = option("weight of the mean squared error against `means`", ge=0, le=1)
    means: float = option("constant that all logits are drawn to", ge=-LARGEST, le=LARGEST)
    label_smoothing: Fraction = option("fraction of the target spread over all classes")


class Augmentation(Options):
    """Mixing of images within a training batch."""

    cutmix_probability: float = option("probability that a batch is mixed by CutMix", ge=0, le=1)
    cutmix_alpha: Positive = option("CutMix draws its fraction from Beta(alpha, alpha)")
    mixup_probability: float = option("probability that a batch is mixed by mix-up", ge=0, le=1)
    mixup_alpha: Positive = option("mix-up draws its fraction from Beta(alpha, alpha)")
    drawn_every: Literal["batch", "epoch"] = option("how long a draw (mixed or not, fraction, box) is kept")

    @model_validator(mode="after")
    def _at_most_one(self) -> "Augmentation":
        if self.cutmix_probability + self.mixup_probability > 1:
            raise ValueError("cutmix_probability + mixup_probability must be at most 1: a batch is mixed one way")
        return self


class Hardware(Options):
    device: Literal["auto", "cpu", "cuda"] = option("auto: the GPU if there is one")
    precision: Literal["fp32", "bf16", "fp16", "fp64"] = option(
        "type of activations; fp16 with a gradient scaler; fp64, weights too, is for comparisons"
    )
    threads: Processors | None = option("CPU threads; null: PyTorch's own choice")
    workers: Annotated[int, Field(ge=0, le=65_536)] | None = option(
        "processes that load images; null: 0 for images in memory, else one a core, 8 at most"
    )
    channels_last: bool | Literal["auto"] = option("keep activations in NHWC order; auto: where that is faster")
    kernels: Literal["auto", "plain", "fused"] = option(
        "what computes batch norm and LIF: plain, as the formulae read; fused, in few passes over memory and with less of it; "
        "auto: fused where there is such",
        default="auto",
    )
    cuda_graphs: bool | Literal["auto"] = option(
        "hand a step to the GPU as a whole, and not kernel by kernel; auto: where that can be", default="auto"
    )
    processes: Processors | Literal["gpus"] = option(
        "processes of this machine that share each batch; gpus: one a GPU; under torchrun and srun, theirs", default=1
    )
    sync_batchnorm: bool = option(
        "several processes: batch statistics over the whole batch; false: each of its own part", default=True
    )
    accumulate: Batch | Literal["auto"] = option(
        "parts of a batch that blocks take in turn, and again for their gradients: less memory, the same step; auto: as "
        "few as fit",
        default=1,
    )


class Energy(Options):
    """Constants of the energy account."""

    mac_pj: Positive = option("energy of a multiply-accumulate, pJ")
    ac_pj: Positive = option("energy of an accumulate, pJ")
    encoder: Literal["once", "repeated"] = option("count stem and gate once per image, or T times as released")


class Train(Options):
    name: Literal["train"]
    selected_by: Literal["validation", "test"] = option(
        "split that picks the best epoch; test only to follow the released programs"
    )
    test: bool = option("read the test split at the end; false: the result is that of the validation split")


class Evaluate(Options):
    name: Literal["evaluate", "energy"]
    split: Literal["train", "validation", "test"] = option("which split the checkpoint is measured on")


class Benchmark(Options):
    name: Literal["benchmark"]
    rounds: int = option("timed steps of each path, after two that are not counted", ge=1, le=100_000)


class ShowStudy(Options):
    name: Literal["study"]


class ShowTable(Options):
    name: Literal["table"]


class ShowDiff(Options):
    name: Literal["diff"]


class Report(Options):
    """What tables are checked against."""

    tolerance: NotNegative | None = option(
        "task=table ends with exit code 1 where a row is further below its published top-1, percentage points",
        default=None,
    )


class Config(Options):
    """One run."""

    dataset: Annotated[AnyDataset, Field(discriminator="name")]
    model: Model
    T: Steps = option("time steps")
    encoder: Annotated[GAC | Latency | PlainEncoder, Field(discriminator="name")]
    neuron: Neuron
    optimizer: Annotated[SGD | Adam, Field(discriminator="name")]
    scheduler: Annotated[Cosine | Step | Constant, Field(discriminator="name")]
    loss: Annotated[CrossEntropy | TET, Field(discriminator="name")]
    augmentation: Augmentation
    hardware: Hardware
    energy: Energy
    report: Report = Field(default_factory=Report)
    task: Annotated[Train | Evaluate | Benchmark | ShowStudy | ShowTable | ShowDiff, Field(discriminator="name")]
    seed: Seed = option("seed of weights, order and augmentation")
    epochs: Epochs = option("passes over the training split")
    batch_size: Batch = option("images a step, over all devices")
    output_dir: str | None = option("run directory; null: a dated one under outputs/")
    resume: str | None = option("run directory to go on with; auto: the newest of the same config, or a new one")
    rerun: str | None = option(
        "run directory to run again, in a new one, with what is named changed; with nothing named: whether it comes out the same",
        default=None,
    )
    checkpoint: str | None = option("weights: what `evaluate` measures, what `train` starts from")
    study: str | None = option("folder of a sweep, which task=study shows")
    runs: str | list[str] | None = option(
        "folders of runs, which task=table puts into a table; the two of task=diff", default=None
    )
    plan: bool = option(
        "say what a run or a sweep (-m) will take, measured with a few steps, and run none of it", default=False
    )
    plan_step_seconds: Positive | None = option(
        "plan=true: seconds of a step of the whole batch on the machine that is planned for; null: measured here",
        default=None,
    )
    plan_images: Count | None = option(
        "plan=true without the images: their number in the training folder; null: that of the published data set",
        default=None,
    )
    plan_classes: Count | None = option(
        "plan=true without the images: the number of classes; null: that of the published data set", default=None
    )
    max_steps: Count | None = option("stop training after this many optimizer steps")
    save_every_minutes: Positive | None = option(
        "write a checkpoint within an epoch this often, beside each epoch's; null: only after each epoch", default=10.0
    )
    keep_checkpoints: int = option(
        "how many of the latest checkpoints are kept; a damaged one costs the time since the one before",
        default=2,
        ge=1,
        le=1000,
    )
    max_minutes: Positive | None = option(
        "save, stop and end with exit code 99, run me again, after so many minutes of training"
    )
    limit_train: Count | None = option("use only this many training images")
    limit_eval: Count | None = option("use only this many images of the validation split, and of the test split")

    @model_validator(mode="after")
    def _something_to_select_by(self) -> "Config":
        if isinstance(self.task, Train) and not self.task.test and self.dataset.validation == 0:
            raise ValueError("task.test=false needs dataset.validation > 0: there would be nothing to measure")
        return self


def options(kind: Any = Config, prefix: str = "") -> dict[str, str]:
    """Every option as it is written on the command line (`T`, `dataset.root`, ...), and its sentence of help."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {name: help for variant in get_args(kind) for name, help in options(variant, prefix).items()}
    found: dict[str, str] = {}
    for name, field in kind.model_fields.items():
        inner = options(field.annotation, f"{prefix}{name}.")
        if inner or field.description is not None:  # a group's `name` is chosen with GROUP=NAME, and has no help
            found |= inner or {prefix + name: str(field.description)}
    return found


def options_that_take(wanted: type, kind: Any = Config, prefix: str = "") -> set[str]:
    """Return the options whose value may be of a type: `str` for text, `list` for lists."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {name for variant in get_args(kind) for name in options_that_take(wanted, variant, prefix)}
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        found |= options_that_take(wanted, field.annotation, f"{prefix}{name}.")
        found |= {prefix + name} if accepts(field.annotation, wanted) else set()
    return found


def accepts(annotation: Any, wanted: type) -> bool:
    """Return whether a type, or one of those that it is a union of, is the wanted one."""
    if wanted in (annotation, get_origin(annotation)):
        return True
    union = get_origin(annotation) in (Annotated, Union, UnionType)
    return union and any(accepts(each, wanted) for each in get_args(annotation))


def variants(group: str) -> list[type[BaseModel]]:
    """The classes that a group of options may be of; none for an option that lies in no group."""
    annotation = Config.model_fields[group].annotation if group in Config.model_fields else None
    kinds = get_args(annotation) or (annotation,)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def choices_with(group: str, name: str) -> list[str]:
    """The choices of a group that have this option, where not all do: ["cifar10", ...] of dataset and root."""
    kinds = variants(group)
    having = [kind for kind in kinds if name in kind.model_fields]
    return (
        [] if having == kinds else [each for kind in having for each in get_args(kind.model_fields["name"].annotation)]
    )
