"""A PostgreSQL server of Debian's packages, which a test can stop and start."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


class Server:
    """On loopback, in a folder of its own; not running yet."""

    def __init__(self) -> None:
        pytest.importorskip("psycopg")
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not binaries:
            pytest.skip("PostgreSQL is not installed")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://gacsnn@127.0.0.1:{port}/postgres"
        # The server refuses to run as root.
        self.home = Path(tempfile.mkdtemp(prefix="gacsnn-postgresql-"))
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if as_user:
            shutil.chown(self.home, "postgres")
        data = self.home / "data"
        made = [*as_user, binaries[-1] / "initdb", "-D", data, "-A", "trust", "-U", "gacsnn"]
        subprocess.run(made, check=True, stdout=-3)
        self.control = [*as_user, binaries[-1] / "pg_ctl", "-D", data]
        self.options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.home}"

    def start(self) -> None:
        command = [*self.control, "-w", "-o", self.options, "-l", self.home / "log", "start"]
        subprocess.run(command, check=True, stdout=-3)

    def stop(self) -> None:
        subprocess.run([*self.control, "-m", "immediate", "stop"], check=True, stdout=-3)
