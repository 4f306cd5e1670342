"""A real SLURM of one node on loopback: munged, slurmctld and slurmd with all their files in one folder."""

import getpass
import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

CONF = """\
ClusterName=gacsnn
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=10
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def slurm(*command: str) -> str:
    """What a command of SLURM's says. It must succeed."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def queue() -> dict[str, str]:
    """The jobs in the queue, `12`, and the tasks of job arrays, `12_0`, and their states."""
    return dict(line.split() for line in slurm("squeue", "--noheader", "--array", "--format=%i %T").splitlines())


def started(task: str) -> bool:
    """Whether a requeued task runs again. SLURM lets it wait for two minutes; not this one."""
    if queue().get(task) == "PENDING":
        answers("scontrol", "update", f"JobId={task}", "StartTime=now")  # again and again: its end may set it anew
    return queue().get(task) == "RUNNING"


@contextmanager
def cluster() -> Iterator[Path]:
    """While the context lasts, the file that SLURM_CONF is to name. Skips the test where SLURM is not installed."""
    if missing := [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not found(name)]:
        pytest.skip(f"{', '.join(missing)}: not installed")
    home = Path(tempfile.mkdtemp(prefix="gacsnn-slurm-"))
    home.chmod(0o755)  # munged looks at who may reach its socket
    host = platform.node().partition(".")[0]
    (home / "slurm.conf").write_text(CONF.format(home=home, host=host, user=getpass.getuser(), ports=free_ports(2)))
    (home / "state").mkdir()
    (home / "munge.key").touch(mode=0o600)
    (home / "munge.key").write_bytes(secrets.token_bytes(128))
    files = [f"--{name}={home}/munge.{end}" for name, end in (("key-file", "key"), ("socket", "socket"))]
    files += [f"--{name}-file={home}/munge.{name}" for name in ("pid", "log", "seed")]
    daemons: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "SLURM_CONF": str(home / "slurm.conf")}
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = environment["SLURM_CONF"]
    try:
        for name, *arguments in (["munged", "--foreground", "--force", *files], ["slurmctld", "-D"], ["slurmd", "-D"]):
            with (home / f"{name}.out").open("wb") as said:
                daemons.append(subprocess.Popen([found(name), *arguments], stdout=said, stderr=said, env=environment))
            if name == "munged":
                wait(lambda: (home / "munge.socket").exists(), home)
        wait(lambda: answers("sinfo", "--noheader", "--format=%T") == "idle", home)
        yield home / "slurm.conf"
    finally:
        answers("scancel", "--me")
        with suppress(AssertionError):
            wait(lambda: answers("squeue", "--noheader") in ("", None), home)  # else what slurmd started outlives it
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=10)
            daemon.kill()
            daemon.wait()
        if before is None:
            os.environ.pop("SLURM_CONF")
        else:
            os.environ["SLURM_CONF"] = before
        shutil.rmtree(home)


def found(name: str) -> str | None:
    """Where a program is; daemons lie outside the user's path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def answers(*command: str) -> str | None:
    """What a command says; None when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()


def wait(condition: Callable[[], object], home: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        said = "\n".join(path.read_text(errors="replace")[-2000:] for path in home.glob("*.out"))
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
