"""Two hosts with homes and, where they can be had, networks of their own, at one Postgres, Redis and store."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.crew import Crew
from faults.stacks import Stack, with_address
from faults.wire import Wire


@dataclass
class Host:
    """A machine as the others see it: workers behind a line to the database and one to the broker.

    `link` is its network's cable, by the name of our end; without one the lines stand for it.
    """

    name: str
    home: Path
    crew: Crew
    wires: tuple[Wire, Wire]
    link: str = ""

    def equip(self, stack: Stack, address: str, workers: int) -> None:
        """Starts its workers, who know servers and store by addresses alone."""
        database, broker = (f"{address}:{wire.port}" for wire in self.wires)
        environment = {
            **stack.environment(wired=True),
            "DREAMLINE_HOME": str(self.home),
            "DREAMLINE_DATABASE_URL": with_address(stack.database_url, database),
            "DREAMLINE_BROKER_URL": f"redis://{broker}/0",
            "DREAMLINE_STORAGE_URL": str(stack.store),
        }
        self.crew.equip([environment] * workers)

    def cut_off(self) -> None:
        """Pulls the cable: nothing gets in or out, and nobody is told."""
        if self.link:
            _ip("link", "set", self.link, "down")
        for wire in self.wires if not self.link else ():
            wire.hold("up", "down")

    def join(self) -> None:
        """Puts the cable back."""
        if self.link:
            _ip("link", "set", self.link, "up")
        for wire in self.wires:
            wire.calm()

    def die(self) -> None:
        """As if the power went: the network first, so that no process says goodbye."""
        self.cut_off()
        self.crew.dismiss()


def have_networks() -> bool:
    """Whether network namespaces can be made here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    tag = f"dl{random.randrange(10**8)}"
    try:
        _ip("netns", "add", tag)
    except subprocess.CalledProcessError:
        return False
    _ip("netns", "del", tag)
    return True


@contextlib.contextmanager
def two_hosts(stack: Stack, *, networks: bool, workers: int) -> Iterator[tuple[Host, Host]]:
    """Both with their workers; with `networks` each lives in a network namespace, which takes root on Linux."""
    if networks and not have_networks():
        pytest.skip("network namespaces take root, iproute2 and a kernel that has them")
    with contextlib.ExitStack() as stacked:
        hosts = []
        for number, name in enumerate(("here", "there")):
            home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=stack.folder))
            address, link, within = "127.0.0.1", "", []
            if networks:
                address, link, within = stacked.enter_context(_network(number))
            wires = (
                Wire(stack.postgres_port, sql=True, host=address),
                Wire(lambda: stack.server.port, host=address),  # type: ignore[union-attr]
            )
            crew = Crew(home / "workers.log", within)
            host = Host(name, home, crew, wires, link)
            for one in (*wires, crew):
                stacked.callback(one.close)
            host.equip(stack, address, workers)
            hosts.append(host)
        yield hosts[0], hosts[1]


@contextlib.contextmanager
def _network(number: int) -> Iterator[tuple[str, str, list[str]]]:
    """A namespace joined to ours by a cable: our address on it, our end's name, what starts programs there."""
    tag = f"dl{random.randrange(10**8)}"
    block = random.randrange(1, 255)
    ours, theirs = f"10.213.{block}.{4 * number + 1}", f"10.213.{block}.{4 * number + 2}"
    _ip("netns", "add", tag)
    try:
        _ip("link", "add", tag, "type", "veth", "peer", "name", "cable", "netns", tag)
        _ip("addr", "add", f"{ours}/30", "dev", tag)
        _ip("link", "set", tag, "up")
        for words in (("addr", "add", f"{theirs}/30", "dev", "cable"), ("link", "set", "cable", "up")):
            _ip("-n", tag, *words)
        yield ours, tag, ["ip", "netns", "exec", tag]
    finally:
        _ip("link", "del", tag)
        _ip("netns", "del", tag)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
