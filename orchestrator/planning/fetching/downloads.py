"""Fetching: one file over http or https, within limits of size and time, gone on with where it broke off."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urljoin

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from core.images import MAX_BYTES
from orchestrator.planning.fetching.addresses import Address, IPAddress, look_up, read_address
from orchestrator.planning.fetching.refused import Refused

MAX_REDIRECTS = 5
SILENCE_SECONDS = 15.0
"""Longest that a server may send nothing, or not be connected to."""

PIECE = 1 << 16

_AGAIN = "Try again; what was fetched is kept"
_BROWSER = "Open it in a browser to see what is there"
_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""What reading from a connection raises when it ends early, a watchdog's end of it included."""


@dataclass(frozen=True, slots=True)
class Version:
    """The server's marks of one version of a file: `ETag` and `Last-Modified`, as it sent them."""

    etag: str = ""
    modified: str = ""

    @property
    def firm(self) -> str:
        """What tells one version from another byte by byte; nothing where the server gives no such thing."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag


class Switch:
    """Ends every download that was given it, from outside, when somebody does not want to wait for them."""

    def __init__(self) -> None:
        self.is_off = False
        self._cuts: dict[int, Callable[[], None]] = {}

    def off(self) -> None:
        """Ends what is being fetched, and lets nothing begin."""
        self.is_off = True
        for cut in list(self._cuts.values()):
            cut()

    @contextmanager
    def guarding(self, cut: Callable[[], None]) -> Iterator[None]:
        """Calls `cut` if the switch is turned off within the block."""
        self._cuts[id(cut)] = cut
        try:
            yield
        finally:
            del self._cuts[id(cut)]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take: seconds in all, redirects included; and the private hosts that are allowed."""

    seconds: float
    private_hosts: tuple[str, ...] = ()
    switch: Switch = field(default_factory=Switch)


def download(address: Address, part: Path, known: Version, limits: Limits) -> Version | None:
    """Fetches a file into `part`, or finds that the known version still holds (None).

    Where `part` holds a beginning that broke off, only the rest is asked for.

    Raises:
        Refused: the address, or one that it leads to, can't be used; the file is too large; the server refuses,
            breaks off, or is too slow. What came until then stays in `part`.
    """
    deadline = time.monotonic() + limits.seconds
    for _ in range(MAX_REDIRECTS + 1):
        told = _Exchange(address, part, known, limits, deadline).run()
        if not isinstance(told, Address):
            return told
        address = told
    raise Refused(f"leads on more than {MAX_REDIRECTS} times", _BROWSER)


@dataclass(slots=True)
class _Exchange:
    """One request and its answer."""

    address: Address
    part: Path
    known: Version
    limits: Limits
    deadline: float

    def run(self) -> Address | Version | None:
        """Where the answer leads to, or what came, or None where nothing has changed."""
        numbers = look_up(self.address, self.limits.private_hosts)
        for number in numbers:
            try:
                with self._connected(number) as connection:
                    return self._ask(connection)
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
                self._left()
                if number == numbers[-1]:
                    told = f"can't be fetched: {self.address.named_host} takes no connection"
                    raise Refused(told, _AGAIN, lasting=False) from error
            except (urllib3.exceptions.SSLError, ssl.SSLError) as error:
                told = f"can't be fetched: {self.address.host} has no valid certificate ({_reason(error)})"
                raise Refused(told, "Have the server's certificate mended, or download the picture") from error
            except _BROKEN as error:
                self._left()
                told = f"can't be fetched: the connection broke off ({_reason(error)})"
                raise Refused(told, _AGAIN, lasting=False) from error
        raise AssertionError("a host has a number, or its look-up refuses")

    @contextmanager
    def _connected(self, number: IPAddress) -> Iterator[HTTPConnection]:
        """A connection to the number that was checked, whatever the name stands for by now.

        At the deadline it is cut from outside: a server that sends a letter now and then is never silent.
        """
        silence, host = min(SILENCE_SECONDS, self._left()), self.address.host
        if self.address.scheme == "http":
            connection = HTTPConnection(str(number), self.address.port, timeout=silence)
        else:
            # The certificate is held against this name, not against the number.
            connection = HTTPSConnection(str(number), self.address.port, timeout=silence, server_hostname=host)
        held: list[socket.socket] = []
        cut = partial(_cut, connection, held)
        watchdog = threading.Timer(self._left(), cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            with self.limits.switch.guarding(cut):
                connection.connect()
                held.append(connection.sock)
                yield connection
        finally:
            watchdog.cancel()
            connection.close()

    def _left(self) -> float:
        """Seconds until the deadline; Refused where there are none, or nobody waits any longer."""
        if self.limits.switch.is_off:
            raise Refused("was not fetched: stopped", _AGAIN)
        left = self.deadline - time.monotonic()
        if left <= 0:
            told = f"can't be fetched within {self.limits.seconds:g} s (DREAMLINE_PICTURE_SECONDS)"
            raise Refused(told, _AGAIN, lasting=False)
        return left

    def _ask(self, connection: HTTPConnection) -> Address | Version | None:
        headers = {
            "Host": self.address.named_host,
            "User-Agent": f"dreamline/{version('dreamline')}",
            "Accept": "image/*, */*;q=0.5",
            "Accept-Encoding": "identity",
        }
        begun, mark = self._begun()
        if begun:
            headers |= {"Range": f"bytes={begun}-", "If-Range": mark}
        elif self.known.etag:
            headers["If-None-Match"] = self.known.etag
        elif self.known.modified:
            headers["If-Modified-Since"] = self.known.modified
        connection.request("GET", self.address.target, headers=headers, preload_content=False)
        answer = connection.getresponse()
        try:
            return self._take(answer, begun)
        finally:
            answer.close()

    def _take(self, answer: urllib3.BaseHTTPResponse, begun: int) -> Address | Version | None:
        if answer.status == 304 and self.known != Version():
            return None
        if answer.status in (301, 302, 303, 307, 308):
            place = answer.headers.get("Location", "")
            if not place:
                raise Refused(f"answers {answer.status} and leads nowhere", _BROWSER)
            return read_address(urljoin(str(self.address), place))
        rest = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
        if answer.status in (206, 416) and not rest:
            self._forget()
            raise Refused(f"answers {answer.status}: not the part that was asked for", _AGAIN, lasting=False)
        if answer.status not in (200, 206):
            raise _refusal(answer.status)
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and begun * rest + int(length) > MAX_BYTES:
            raise _too_large(begun * rest + int(length))
        found = Version(answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""))
        self._write(answer, begun * rest, found)
        return found

    def _write(self, answer: urllib3.BaseHTTPResponse, starts: int, found: Version) -> None:
        """Piece by piece into the part file, beside which the mark of its version lies meanwhile."""
        self._mark.write_text(found.firm, encoding="utf-8")
        written = starts
        with self.part.open("ab" if starts else "wb") as file:
            while piece := answer.read1(PIECE, decode_content=False):
                written += len(piece)
                if written > MAX_BYTES:
                    self._forget()
                    raise _too_large(written)
                file.write(piece)
        # A connection that is cut from outside can look like one that has ended.
        self._left()
        self._mark.unlink()

    def _begun(self) -> tuple[int, str]:
        """How much of the file is here, and the mark of its version; 0 where that can't be gone on with."""
        try:
            mark = self._mark.read_text(encoding="utf-8")
            return (self.part.stat().st_size, mark) if mark else (0, "")
        except OSError:
            return 0, ""

    def _forget(self) -> None:
        for path in (self.part, self._mark):
            path.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.part.with_name(f"{self.part.name}.mark")


def _cut(connection: HTTPConnection, held: list[socket.socket]) -> None:
    """Ends what is being read. A connection lets go of its socket once an answer has it."""
    for one in (connection.sock, *held):
        if one is not None:
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    return str(error).rsplit(": ", 1)[-1].strip("()'\" ")[:100] or type(error).__name__


def _too_large(size: int) -> Refused:
    return Refused(f"has {size // 10**6} MB", f"{MAX_BYTES // 10**6} MB is the most: save it smaller")


def _refusal(status: int) -> Refused:
    if status in (401, 403, 407):
        mend = "Give an address that works without logging in, or download the picture and give its path"
        return Refused(f"answers {status}: it wants a login", mend)
    if status in (404, 410):
        return Refused(f"answers {status}: there is nothing there", "Check the address in a browser")
    if status in (408, 425, 429) or status >= 500:
        return Refused(f"answers {status}: the server can't answer now", _AGAIN, lasting=False)
    return Refused(f"answers {status}", _BROWSER)
