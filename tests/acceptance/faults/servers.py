"""Brokers that the tests start themselves: processes on free ports with folders of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psutil
import pytest

from orchestrator.records.cluster import free_port

RABBIT_SCRIPTS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/usr/lib/rabbitmq/sbin/rabbitmq-server"))
"""The program itself: the wrapper in the search path changes user and folder where the system's node lies."""


def require(program: str | None, name: str) -> str:
    """The path of a program; without it CI fails and others skip."""
    if program is not None:
        return program
    if os.environ.get("CI"):
        pytest.fail(f"CI has to install {name}")
    pytest.skip(f"{name} is not installed")


class Server(ABC):
    """A broker as a process that can be ended in any way and comes back with what it kept."""

    scheme = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Starts it and returns when it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.environment()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 240
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the whole of it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """A signal to every process of it."""
        assert self._process is not None
        family = [self._process.pid, *(one.pid for one in psutil.Process(self._process.pid).children(True))]
        for process in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def stop(self) -> None:
        """For good."""
        self.kill()

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    def environment(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be talked to."""


class Redis(Server):
    """Keeps what it is told (AOF), as docs/operations.md asks for."""

    def command(self) -> list[str]:
        program = require(shutil.which("redis-server"), "redis-server")
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [program, *place, "--save", "", "--appendonly", "yes"]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class Rabbit(Server):
    """A node of its own: name, port, data and the daemon that finds nodes are all apart from the system's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._distribution, self._finder = free_port(), free_port()

    def command(self) -> list[str]:
        found = next((str(one) for one in RABBIT_SCRIPTS if one.exists()), shutil.which("rabbitmq-server"))
        return [require(found, "rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text("vm_memory_high_watermark.absolute = 512MB\n")
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"faults-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "ERL_EPMD_PORT": str(self._finder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 2:2",
        }

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.sendall(b"AMQP\0\0\x09\x01")
                return line.recv(8)[:1] == b"\x01"
        except OSError:
            return False

    def stop(self) -> None:
        super().stop()
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                ["epmd", "-port", str(self._finder), "-kill"], capture_output=True, timeout=10, check=False
            )
