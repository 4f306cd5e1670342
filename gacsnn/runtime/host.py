"""The memory of this machine, or what a job on it may use of that, as Linux says; without torch."""

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def meminfo() -> dict[str, int]:
    """`/proc/meminfo`, in bytes."""
    with Path("/proc/meminfo").open() as file:
        lines = (line.split(":", 1) for line in file)
        return {name: int(value.split()[0]) * 1024 for name, value in lines}


def available() -> int:
    """Bytes that may still be taken: of the machine's memory, and of the job's own limit."""
    free = meminfo()["MemAvailable"]
    limit, used = CGROUPS / "memory.max", CGROUPS / "memory.current"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        free = min(free, int(most) - int(used.read_text()))
    return free


def in_all() -> int:
    """Bytes that nothing on this machine can have more of: its memory and swap space, or a limit that is set to this process."""
    known = meminfo()
    swap = known.get("SwapTotal", 0)
    return min([known["MemTotal"] + swap, *(limit + swap for limit in limits())])


def limits(groups: Path = CGROUPS) -> list[int]:
    """The limits of the control groups that this process is in, bytes without swap: those of version 2, and of version 1."""
    try:
        mine = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[int] = []
    for _, controllers, path in (line.split(":", 2) for line in mine):
        if controllers not in ("", "memory"):
            continue
        root, name = (groups, "memory.max") if controllers == "" else (groups / "memory", "memory.limit_in_bytes")
        group = root / path.lstrip("/")
        for folder in [group, *group.parents]:
            if folder.is_relative_to(root) and (folder / name).is_file():
                text = (folder / name).read_text().strip()
                found += [int(text)] if text.isdecimal() else []  # else max
    return found
