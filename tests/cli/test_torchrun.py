"""torchrun: signals that come twice, Ctrl-C on a terminal, two machines."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from cluster import free_ports
from program import ROOT, TINY, Launch, read_metrics, read_result

LONG = (*TINY, "hardware.threads=1", "limit_train=400", "batch_size=8", "epochs=2", "augmentation=cutmix")
# A checkpoint shows that all processes train: one that a signal finds before that ends at once, and takes the others along.
AT_WORK = ("save_every_minutes=0.001",)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


def check_same(run: Path, whole: Path) -> None:
    """Bit for bit."""
    one, other = (torch.load(path / "checkpoints" / "last.pt")["model"] for path in (run, whole))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    assert read_metrics(run) == read_metrics(whole)


def members(agent: int) -> list[int]:
    """The processes that a torchrun has started."""
    found = Path(f"/proc/{agent}/task/{agent}/children")
    return [int(pid) for pid in found.read_text().split()] if found.exists() else []


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition: Callable[[], object], log: Path, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"what was waited for did not happen: {log.read_text()}"
        time.sleep(0.05)


@pytest.fixture
def agents() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that a test has started; none is left, nor what it started."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for agent in started:
        for pid in (*members(agent.pid), agent.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        agent.wait()


def start(
    folder: Path, log: Path, *options: str, before: tuple[str, ...] = (), **variables: str
) -> subprocess.Popen[bytes]:
    """A torchrun with a log; `options` are its own and the run's."""
    own = [option for option in options if option.startswith("--")]
    run = [option for option in options if not option.startswith("--")]
    with log.open("ab") as said:
        return subprocess.Popen(
            [*before, *TORCHRUN, *own, str(ROOT / "launch.py"), *run],
            cwd=folder,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **variables},
            start_new_session=True,
        )


@pytest.mark.slow
def test_a_signal_to_torchrun_and_to_its_processes_is_one(
    launch: Launch, tmp_path: Path, agents: list[subprocess.Popen[bytes]]
) -> None:
    """As SLURM and systemd send it, to all processes of a job: those of torchrun's hear it twice."""
    log, run = tmp_path / "log", tmp_path / "run"
    agent = start(tmp_path, log, "--nproc_per_node=2", *LONG, *AT_WORK, "output_dir=run")
    agents.append(agent)
    wait_for((run / "checkpoints" / "last.pt").exists, log)
    pids = members(agent.pid)
    assert len(pids) == 2
    for pid in (*pids, agent.pid):
        os.kill(pid, signal.SIGTERM)
    assert agent.wait(timeout=60) != 0
    assert all(map(gone, pids))
    said = log.read_text()
    assert said.count("interrupted; ") == 1, said
    assert "Unable to shutdown process" not in said
    assert 0 < torch.load(run / "checkpoints" / "last.pt")["train_state"]["step"] < 100
    assert launch("resume=run", "hardware.processes=2").code == 0
    assert launch(*LONG, "hardware.processes=2", "output_dir=whole").code == 0
    check_same(run, tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_saves_what_torchrun_has_started(tmp_path: Path) -> None:
    run, shown = tmp_path / "run", b""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        command = [*TORCHRUN, "--nproc_per_node=2", str(ROOT / "launch.py"), *LONG, *AT_WORK, "output_dir=run"]
        os.execv(sys.executable, command)
    pids: list[int] = []
    deadline, pressed, status = time.monotonic() + 300, False, None
    try:
        while status is None:
            assert time.monotonic() < deadline, shown.decode()
            if select.select([terminal], [], [], 0.1)[0]:
                with suppress(OSError):  # which Linux raises when the other end is closed
                    shown += os.read(terminal, 65536)
            if not pressed and (run / "checkpoints" / "last.pt").exists():
                pids = members(pid)
                os.write(terminal, termios.tcgetattr(terminal)[6][termios.VINTR])
                pressed = True
            ended, code = os.waitpid(pid, os.WNOHANG)
            status = code if ended else None
        with suppress(OSError):
            fcntl.fcntl(terminal, fcntl.F_SETFL, os.O_NONBLOCK)
            while block := os.read(terminal, 65536):
                shown += block
    finally:
        os.close(terminal)
        for left in (*pids, *([pid] if status is None else [])):
            with suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL) if not gone(left) else None
    said = shown.decode()
    assert os.waitstatus_to_exitcode(status) != 0, said
    assert said.count("interrupted; ") == 1, said
    assert "Unable to shutdown process" not in said, "they were killed, for they did not end"
    assert 0 < torch.load(run / "checkpoints" / "last.pt")["train_state"]["step"] < 100


NODES = ("gacsnn-one", "gacsnn-two")
ADDRESSES = ("10.97.31.1", "10.97.31.2")
# The name of the machine need not have an address in a namespace of its own: gloo is told by which interface it is reached.
BETWEEN = {"GLOO_SOCKET_IFNAME": "between"}


def ip(*arguments: str) -> bool:
    try:
        return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def network() -> Iterator[None]:
    """Two network namespaces as two machines, with a cable between them and an address each."""
    try:
        made = all(ip("netns", "add", node) for node in NODES)
        made = made and ip(
            "link", "add", "between", "netns", NODES[0], "type", "veth", "peer", "name", "between", "netns", NODES[1]
        )
        for node, address in zip(NODES, ADDRESSES, strict=True):
            made = made and ip("-n", node, "address", "add", f"{address}/24", "dev", "between")
            made = made and all(ip("-n", node, "link", "set", device, "up") for device in ("lo", "between"))
        if not made:
            pytest.skip("network namespaces are not allowed here, or there is no `ip`")
        yield
    finally:
        for node in NODES:
            ip("netns", "delete", node)


def machine(folder: Path, log: Path, node: int, port: int, *options: str) -> subprocess.Popen[bytes]:
    """The torchrun of one of the two machines."""
    meet = ("--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d", f"--rdzv_endpoint={ADDRESSES[0]}:{port}")
    # It looks the machine's name up to find out whether it is that endpoint; see BETWEEN.
    meet += ("--rdzv_id=1", f"--rdzv_conf=is_host={1 - node}", f"--local_addr={ADDRESSES[node]}")
    # The namespace is entered by exec, so that the process is torchrun itself.
    return start(
        folder, log, *meet, *options,
        before=("ip", "netns", "exec", NODES[node]), **BETWEEN,
    )  # fmt: skip


@pytest.mark.slow
def test_two_machines_train_as_one_with_two_processes(
    launch: Launch, tmp_path: Path, network: None, agents: list[subprocess.Popen[bytes]]
) -> None:
    log = tmp_path / "log"
    (port,) = free_ports(1)
    options = (*TINY, "hardware.threads=1", "limit_train=66", "batch_size=16", "augmentation=cutmix_always")
    agents.extend(machine(tmp_path, log, node, port, *options, "output_dir=run") for node in (0, 1))
    assert [agent.wait(timeout=300) for agent in agents] == [0, 0], log.read_text()
    assert log.read_text().count("epoch 1/1") == 1
    assert read_result(tmp_path / "run")["device"].startswith("2 x ")
    assert launch(*options, "hardware.processes=2", "output_dir=whole").code == 0
    check_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_machine_that_dies_ends_the_other_and_the_run_goes_on_later(
    launch: Launch, tmp_path: Path, network: None, agents: list[subprocess.Popen[bytes]], victim: int
) -> None:
    run, logs = tmp_path / "run", (tmp_path / "log0", tmp_path / "log1")
    (port,) = free_ports(1)
    options = (*LONG, *AT_WORK, "output_dir=run")
    agents.extend(machine(tmp_path, logs[node], node, port, *options) for node in (0, 1))
    wait_for((run / "checkpoints" / "last.pt").exists, logs[0])
    dead, other = agents[victim], agents[1 - victim]
    killed, left = members(dead.pid), members(other.pid)
    for pid in (dead.pid, *killed):
        os.kill(pid, signal.SIGKILL)
    assert other.wait(timeout=60) != 0
    assert all(map(gone, left))
    said = logs[1 - victim].read_text()
    assert "of 2 lost the others: one of them has ended" in said, said
    assert launch("resume=run", "hardware.processes=2").code == 0
    assert launch(*LONG, "hardware.processes=2", "output_dir=whole").code == 0
    check_same(run, tmp_path / "whole")
