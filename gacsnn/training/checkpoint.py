"""Checkpoints: written whole, read safely.

A checkpoint of ours is a dictionary of tensors, numbers, strings and lists only, so that `weights_only=True` reads it:
`model`, `optimizer`, `scheduler`, `scaler`, `train_state` (epochs, steps, best score, ...), `rng`, `drawn`, `classes`,
`images` (of the training split) and `config`, which says the number of its schema. One of an older schema is read under
today's names (`migrate`).
"""

import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gacsnn.config.names import renamed
from gacsnn.config.saved import check_schema
from gacsnn.errors import GacsnnError, InputError
from gacsnn.runtime.console import log
from gacsnn.runtime.files import check_file, write_whole
from gacsnn.weights import fault_of

FORMAT = "gacsnn-1"

# What stands before the checksum at the end of a file of ours, and how long both are.
SEAL = b"gacsnn sha256 "
SEAL_LENGTH = len(SEAL) + 64

# What each checkpoint of ours holds.
KEYS: dict[str, type] = {"model": dict, "train_state": dict, "config": dict, "classes": list}

# The usual keys of the state dict in another program's larger dictionary.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


class DamagedError(InputError):
    """A file that is no checkpoint, or no longer one; not one of another version, whose content is whole."""


def serialise(content: Mapping[str, Any]) -> memoryview:
    """The bytes of a checkpoint's file. torch's own writer, on a full disk, raises an error of its own, and aborts after it.

    At its end stands a checksum, as the comment of the zip archive: torch reads what has flipped without a word, and the
    archive's own checksums do not hold its headers.
    """
    made = io.BytesIO()
    torch.save({"format": FORMAT, "sealed": True, **content}, made)
    made.seek(-2, io.SEEK_END)  # the length of the comment, so far 0
    made.write(SEAL_LENGTH.to_bytes(2, "little"))
    made.write(SEAL + hashlib.sha256(made.getbuffer()).hexdigest().encode())
    return made.getbuffer()


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint; a reader finds the old one or the new one, never a part.

    Raises:
        OSError: when it cannot be written.
    """
    made = serialise(content)
    write_whole(path, lambda file: file.write(made))


def read(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, on the CPU.

    Raises:
        InputError: when the file is missing, damaged, or something else.
    """
    content = read_any(path)
    if "format" not in content:
        raise InputError(f"checkpoint={path}: this file was not written by gacsnn")
    return content


def newest(paths: Sequence[Path], source: str) -> tuple[Path, dict[str, Any]]:
    """The first of these checkpoints that can be read, and its content; says which were passed over.

    Raises:
        InputError: when none can be read, or one is of another version: to pass over that would be to lose what it holds.
    """
    damaged: list[Path] = []
    for path in paths:
        with path.open("rb"):
            pass  # what cannot be opened is not damaged: OSError
        try:
            content = read(path)
        except DamagedError:
            damaged.append(path)
            continue
        if damaged:
            log.warning(
                f"{' and '.join(map(str, damaged))} cannot be read (cut short or damaged): going on from {path} instead"
            )
        return path, content
    names = ", ".join(path.name for path in damaged)
    raise InputError(f"{source}: none of its checkpoints can be read ({names}): cut short or damaged")


def read_any(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, or a bare state dict (without `format`), such as those that authors publish.

    Raises:
        InputError: when the file is missing, damaged, wants to run code, or is something else.
    """
    check_file(path, "checkpoint")
    try:
        with warnings.catch_warnings(action="ignore"):  # of foreign pickles, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises whatever its parsers stumble over: IndexError, struct.error, AssertionError, ...
        raise DamagedError(
            f"checkpoint={path}: this file is no checkpoint, one that was cut short, or one that wants to run code"
        ) from None
    check_sums(path, isinstance(content, dict) and "sealed" in content)
    if isinstance(content, dict) and "format" in content:
        if content["format"] != FORMAT:
            raise InputError(
                f"checkpoint={path}: this file is of format {content['format']}, and this version reads {FORMAT}"
            )
        check_schema(schema_of(content), f"checkpoint={path}")
        content = migrate(content)
        if missing := [key for key in KEYS if not isinstance(content.get(key), KEYS[key])]:
            raise DamagedError(f"checkpoint={path}: this file is damaged: it lacks {', '.join(missing)}")
        if wrong := wrong_within(content):
            raise DamagedError(f"checkpoint={path}: this file is damaged: {wrong}")
        return content
    if (weights := find_weights(content)) is None:
        raise InputError(f"checkpoint={path}: this file holds no weights of a network")
    tensors = {str(key): value for key, value in weights.items() if isinstance(value, Tensor)}
    if found := first_fault(tensors):
        raise InputError(f"checkpoint={path}: {found}")
    return tensors


def first_fault(weights: Mapping[str, Any]) -> str | None:
    """Return the name and the fault of the first entry that cannot be a weight, or None."""
    faults = ((name, fault_of(weight)) for name, weight in weights.items())
    return next((f"{name} {fault}" for name, fault in faults if fault), None)


def find_weights(content: Any, depth: int = 5) -> Mapping[Any, Any] | None:
    """Return the dictionary with tensors in another program's file, at most `depth` dictionaries deep, or None.

    Of several such dictionaries, such as the weights and their moving average, it is one under a usual key.
    """
    if not isinstance(content, Mapping) or not depth:
        return None
    if any(isinstance(value, Tensor) for value in content.values()):
        return content
    within = {key: find_weights(value, depth - 1) for key, value in content.items()}
    found = {key: weights for key, weights in within.items() if weights is not None}
    usual = [found[key] for key in WRAPPERS if key in found]
    return next(iter(usual or (found.values() if len(found) == 1 else ())), None)


def check_sums(path: Path, sealed: bool) -> None:
    """Raises DamagedError where a bit has flipped: torch is built without this check. Older files are not `sealed`."""
    if sealed:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size - SEAL_LENGTH
            digest = hashlib.sha256()
            while left := size - file.tell():
                digest.update(file.read(min(left, 2**20)))
            if file.read() != SEAL + digest.hexdigest().encode():
                raise DamagedError(f"checkpoint={path}: this file is damaged: its checksum is wrong")
        return
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as file:
            part = file.testzip()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
        raise DamagedError(f"checkpoint={path}: this file is damaged: {error}") from None
    if part:
        raise DamagedError(f"checkpoint={path}: this file is damaged: the checksum of {part} is wrong")


def wrong_within(content: Mapping[str, Any]) -> str | None:
    """What of a checkpoint's content no version wrote."""
    if not all(isinstance(name, str) for name in (*content["classes"], *content["config"])):
        return "names of classes and options should be texts"
    if found := first_fault(content["model"]):
        return found
    moments = (leaf for leaf in tree_leaves(content.get("optimizer")) if isinstance(leaf, Tensor))
    return next((f"the optimizer's state {fault}" for fault in map(fault_of, moments) if fault), None)


@contextmanager
def part(source: str, name: str) -> Iterator[None]:
    """While a part of a checkpoint is put in its place: whatever that stumbles over is said as damage of the checkpoint.

    Raises:
        DamagedError: for any other error.
    """
    try:
        yield
    except GacsnnError:
        raise
    except (
        Exception
    ) as error:  # torch's parts raise whatever they stumble over: KeyError, AttributeError, RuntimeError, ...
        why = next(iter(str(error).splitlines()), "")
        raise DamagedError(
            f"{source}: its checkpoint is damaged: {name} is not what a run of this config saves "
            f"({type(error).__name__}: {why})"
        ) from None


def schema_of(content: Mapping[str, Any]) -> Any:
    config = content.get("config")
    return config.get("schema", 1) if isinstance(config, Mapping) else 1


def migrate(content: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint of an older schema under today's names; its config is migrated where it is read."""
    if schema_of(content) < 2 and isinstance(content.get("done"), dict) and isinstance(content.get("model"), dict):
        state = renamed(content["done"], "pictures", "images")
        old, new = "encoder.temporal.perceptron.", "encoder.temporal.mlp."
        model = {name.replace(old, new): weight for name, weight in content["model"].items()}
        content = {**content, "train_state": state, "model": model}
    return content


def gpus() -> int:
    """How many GPUs this process may draw on: none, where it runs on the CPU of a machine that has some."""
    return torch.cuda.device_count() if torch.cuda.is_initialized() else 0


def random_state() -> dict[str, Any]:
    """The state of every generator that a run draws from."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if gpus() else []}


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Let the generators go on where the state was taken; those of the GPUs only where there are as many, which is said."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) != gpus():
        log.warning(
            f"GPUs: {len(state['cuda'])} when this run was saved, {gpus()} now; what is drawn at random on them is not "
            "what it would have been"
        )
    elif state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
