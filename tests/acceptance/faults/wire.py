"""A line between a client and a server that can be slow, held, cut, or cut at a chosen statement."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["up", "down"]
When = Literal["before", "in", "after"]

CHUNK = 65536


@dataclass
class Trap:
    """What happens once a transaction with all of `words` commits: `act`, and the line is cut if `cuts`.

    Attributes:
        words: parts of statements that the transaction has to hold.
        when: before the server gets the COMMIT, with it on the way, or before the client hears the answer.
        act: what is done at that moment; it is given the client's port.
        sprung: set once it has happened.
    """

    words: tuple[str, ...]
    when: When
    act: Callable[[int], object]
    cuts: bool = True
    sprung: threading.Event = field(default_factory=threading.Event)


class Statements:
    """Follows one client's side of Postgres' protocol: which statements its open transaction holds."""

    def __init__(self) -> None:
        self._rest = b""
        self._greeted = False
        self._named: dict[bytes, str] = {}
        self._held: list[str] = []

    def commits(self, data: bytes) -> list[str] | None:
        """The statements of the transaction that these bytes commit; None when they commit none."""
        self._rest += data
        committed = None
        while (frame := self._frame()) is not None:
            for statement in self._texts(*frame):
                if statement.strip().upper() == "COMMIT":
                    committed, self._held = self._held, []
                elif statement.strip().upper() in ("ROLLBACK", "BEGIN"):
                    self._held = []
                else:
                    self._held.append(statement)
        return committed

    def _frame(self) -> tuple[bytes, bytes] | None:
        kind = b"" if not self._greeted else self._rest[:1]
        start = len(kind)
        if len(self._rest) < start + 4 or (self._greeted and not kind):
            return None
        (length,) = struct.unpack("!i", self._rest[start : start + 4])
        if len(self._rest) < start + length:
            return None
        body, self._rest = self._rest[start + 4 : start + length], self._rest[start + length :]
        self._greeted = True
        return kind, body

    def _texts(self, kind: bytes, body: bytes) -> list[str]:
        if kind == b"Q":
            return [body.rstrip(b"\0").decode("utf-8", "replace")]
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._named[name] = text.decode("utf-8", "replace")
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            return [self._named.get(name, "")]
        return []


class Wire:
    """Listens on a port of its own and passes everything on to a server at `target`.

    The address of the server is asked for anew at each connection. `sql` makes traps possible.
    """

    def __init__(self, target: Callable[[], int], *, sql: bool = False, host: str = "127.0.0.1") -> None:
        self._target = target
        self._sql = sql
        self._flows = {"up": threading.Event(), "down": threading.Event()}
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._guard = threading.Lock()
        self._trap: Trap | None = None
        self._open = True
        self.delay = 0.0
        self.refusing = False
        for flow in self._flows.values():
            flow.set()
        self._door = socket.create_server((host, 0), backlog=64)
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, name=f"wire {self.port}", daemon=True).start()

    def hold(self, *ways: Way) -> None:
        """Keeps what goes these ways from arriving, until `calm`."""
        for way in ways:
            self._flows[way].clear()

    def calm(self) -> None:
        """As if nothing had been: what was held arrives, nothing is slow, refused or awaited."""
        self.delay, self.refusing, self._trap = 0.0, False, None
        for flow in self._flows.values():
            flow.set()

    def cut(self) -> int:
        """Breaks every connection off without a goodbye; returns how many."""
        with self._guard:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _break(pair)
        return len(pairs)

    def await_commit(self, trap: Trap) -> None:
        """Sets a trap; one at a time."""
        self._trap = trap

    def close(self) -> None:
        self._open = False
        self._door.close()
        self.calm()
        self.cut()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target()), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            for one in pair:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._guard:
                self._pairs.append(pair)
            line = _Line(self, pair, Statements() if self._sql else None)
            for way in (line.up, line.down):
                threading.Thread(target=way, name=f"wire {self.port}", daemon=True).start()

    def caught(self, statements: list[str]) -> Trap | None:
        """The trap that this commit springs, once."""
        with self._guard:
            trap = self._trap
            if trap is None or not all(any(word in one for one in statements) for word in trap.words):
                return None
            self._trap = None
            return trap

    def pass_through(self, way: Way) -> None:
        """Returns when a piece may go this way."""
        if self.delay:
            time.sleep(self.delay)
        self._flows[way].wait()

    def forget(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """One connection is over."""
        with self._guard:
            if pair in self._pairs:
                self._pairs.remove(pair)


class _Line:
    """One connection through a wire."""

    def __init__(self, wire: Wire, pair: tuple[socket.socket, socket.socket], reader: Statements | None) -> None:
        self._wire = wire
        self._pair = pair
        self._reader = reader
        self._caught: Trap | None = None

    def up(self) -> None:
        client, server = self._pair
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK):
                committed = self._reader.commits(data) if self._reader else None
                trap = self._wire.caught(committed) if committed is not None else None
                if trap is not None and trap.when == "before" and self._spring(trap):
                    break
                if trap is not None and trap.when == "after":
                    self._caught = trap
                self._wire.pass_through("up")
                server.sendall(data)
                if trap is not None and trap.when == "in" and self._spring(trap):
                    break
            else:
                server.shutdown(socket.SHUT_WR)
                return
        self._end()

    def down(self) -> None:
        client, server = self._pair
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK):
                caught, self._caught = self._caught, None
                if caught is not None and self._spring(caught):
                    break
                self._wire.pass_through("down")
                client.sendall(data)
        self._end()

    def _spring(self, trap: Trap) -> bool:
        """Does what the trap is for; whether the line has to end."""
        trap.act(self._pair[0].getpeername()[1])
        trap.sprung.set()
        return trap.cuts

    def _end(self) -> None:
        self._wire.forget(self._pair)
        _break(self._pair)


def _break(pair: tuple[socket.socket, socket.socket]) -> None:
    for one in pair:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
