"""Where dreamline runs in these tests: embedded, or with a Postgres and a broker of its own kind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from faults.servers import Rabbit, Redis, Server
from faults.wire import Wire

from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.place import Place

HERE = Path(__file__).parent

LEASE, POLL = 2.0, 0.5
"""Seconds: short, so that losing a lease takes no patience."""

NAMES = ("embedded", "redis", "rabbitmq")


@dataclass
class Stack:
    """A database, a broker and a store, with lines in between that can be disturbed.

    On the embedded stack workers use the embedded Postgres as themselves, and files as messages; where a
    scenario needs the line to the database they are told its address instead. `server` is None there.
    """

    name: str
    folder: Path
    server: Server | None
    database_url: str = ""
    wires: dict[str, Wire] = field(default_factory=dict)

    @classmethod
    def start(cls, name: str, folder: Path) -> Stack:
        """Starts the servers, makes the tables, lays the lines."""
        kind = {"redis": Redis, "rabbitmq": Rabbit}.get(name)
        stack = cls(name, folder, kind(folder / "broker") if kind is not None else None)
        try:
            stack._start()
        except BaseException:
            stack.stop()
            raise
        return stack

    def _start(self) -> None:
        for part in (self.home, self.marks):
            part.mkdir(parents=True, exist_ok=True)
        server = self.server
        if server is not None:
            server.start()
            self.wires["broker"] = Wire(lambda: server.port)
        self.database_url = embedded.ensure_running(self.postgres)
        self.wires["database"] = Wire(self.postgres_port, sql=True)
        database = Database(self.settings())
        database.upgrade()
        database.close()

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def postgres(self) -> Path:
        """The home of the database: the workers' own on the embedded stack, another elsewhere."""
        return self.home if self.name == "embedded" else self.folder / "server"

    @property
    def store(self) -> Path:
        return self.home / "store"

    @property
    def marks(self) -> Path:
        """Where the troublesome generator writes down what it did."""
        return self.folder / "marks"

    def postgres_port(self) -> int:
        return int(Place.of(self.postgres).port_file.read_text("ascii"))

    def postgres_process(self) -> int | None:
        return embedded.status(self.postgres).postgres

    def environment(self, *, wired: bool) -> dict[str, str]:
        """What a worker needs; `wired` leads it over the lines."""
        values = {
            "HOME": self.home,
            "CARDS": HERE / "cards",
            "BLOCK": "measures",
            "LEASE_SECONDS": LEASE,
            "POLL_SECONDS": POLL,
            "RETRY_SECONDS": 0.01,
            "BATCH_SIZE": 4,
            "MAX_ATTEMPTS": 60,
            "FAKE_SECONDS": 0.2,
            "LOG": "INFO",
            "DATABASE_URL": self._database_url(wired=wired) if wired or self.name != "embedded" else "",
            "BROKER_URL": self._broker_url(wired=wired),
        }
        paths = [str(HERE / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **{f"DREAMLINE_{name}": str(value) for name, value in values.items()},
            "PYTHONPATH": os.pathsep.join(paths),
            "FAULTS_MARKS": str(self.marks),
        }

    def settings(self) -> Settings:
        """The same for the tests themselves, who are disturbed by nothing."""
        environment = self.environment(wired=False)
        return Settings.from_env({**environment, "DREAMLINE_DATABASE_URL": self.database_url})

    def calm(self) -> None:
        """Every line as new."""
        for wire in self.wires.values():
            wire.calm()

    def stop(self) -> None:
        for wire in self.wires.values():
            wire.close()
        if self.server is not None:
            self.server.stop()
        embedded.stop(self.postgres)

    def _database_url(self, *, wired: bool) -> str:
        port = self.wires["database"].port
        return with_address(self.database_url, f"127.0.0.1:{port}") if wired else self.database_url

    def _broker_url(self, *, wired: bool) -> str:
        if self.server is None:
            return ""
        port = self.wires["broker"].port if wired else self.server.port
        return f"redis://127.0.0.1:{port}/0" if self.name == "redis" else f"amqp://guest:guest@127.0.0.1:{port}//"


def with_address(url: str, address: str) -> str:
    """The same URL at another host and port."""
    parts = urlsplit(url)
    before, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{before}{at}{address}"))
