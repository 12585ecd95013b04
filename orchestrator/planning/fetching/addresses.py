"""Fetching: what an address of the web means, and to which machines it may lead.

A brief comes from people, and its addresses from strangers: none may reach into the network that dreamline runs
in. A name is looked up once, what it stands for is checked, and the connection is made to just that number, so
that a name that changes between the check and the connection changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from orchestrator.planning.fetching.refused import Refused

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
MAX_LENGTH = 8_000

_KEPT = "/%:@!$&'()*+,;=~-._?"
"""Characters of paths and queries that are sent as they are; others as bytes in percent."""

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")

_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""Addresses of version 6 whose last 32 bits are one of version 4, by a translator of the network or of old."""

_TRANSLATED = ipaddress.ip_network("64:ff9b:1::/48")
"""Addresses for translators of one network alone (RFC 8215)."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the web.

    Attributes:
        scheme: `http` or `https`.
        host: a name in ASCII, or a number; without brackets.
        port: also where the address names none.
        target: path and query, as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def named_host(self) -> str:
        """As the header `Host` wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.named_host}{self.target}"


def read_address(text: str) -> Address:
    """An address in its parts; letters that addresses can't hold are encoded, what follows a `#` is left.

    Raises:
        Refused: it is no address of http or https, or holds a user's name or password.
    """
    if len(text) > MAX_LENGTH:
        raise Refused(f"has {len(text)} characters", f"{MAX_LENGTH} is the most for an address")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
        host = host if ":" in host else host.encode("idna").decode("ascii")
    except ValueError as error:
        raise Refused(f"is no address ({error})", "Copy it from the address bar of a browser") from error
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise Refused(f"begins with {scheme}://", "Give an address that begins with https://, or a path")
    if not _HOST.fullmatch(host):
        raise Refused("names no host", "Copy it from the address bar of a browser")
    if parts.username is not None or parts.password is not None:
        raise Refused("holds a user's name or password", "Give one that works without, or download the picture")
    target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    return Address(scheme, host.lower(), PORTS[scheme] if port is None else port, target)


def look_up(address: Address, private_hosts: Collection[str]) -> tuple[IPAddress, ...]:
    """The numbers of a host that may be connected to, in the order in which the system prefers them.

    Args:
        address: its host is looked up.
        private_hosts: names, numbers and networks of people's own that are allowed all the same.

    Raises:
        Refused: the host is not known, or every number of it is of a private network.
    """
    try:
        told = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        mend = "Check the host's name, and that this machine reaches the internet"
        raise Refused(f"can't be fetched: {address.host} is not known ({reason})", mend, lasting=False) from error
    numbers = tuple(dict.fromkeys(ipaddress.ip_address(str(one[4][0])) for one in told))
    allowed = tuple(
        number for number in numbers if is_public(number) or is_own(address.host, number, private_hosts)
    )
    if not allowed:
        raise Refused(
            f"leads to {numbers[0]}, which is no address of the public internet",
            f"If the server is yours, allow it: DREAMLINE_PRIVATE_HOSTS={address.host}",
        )
    return allowed


def is_public(number: IPAddress) -> bool:
    """Whether a number is of the public internet; one that holds another inside is judged by that too."""
    if isinstance(number, ipaddress.IPv6Address):
        if number.ipv4_mapped is not None:
            return is_public(number.ipv4_mapped)
        inside = [number.sixtofour, *(number.teredo or ())]
        if any(number in network for network in _EMBEDDING):
            inside.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
        if not all(is_public(one) for one in inside if one is not None):
            return False
        if number.is_site_local or number in _TRANSLATED:
            return False
    return number.is_global and not number.is_multicast


def is_own(host: str, number: IPAddress, private_hosts: Collection[str]) -> bool:
    """Whether people said that a host of their own network is allowed: by its name, its number or its network."""
    for one in private_hosts:
        if one.lower() == host:
            return True
        try:
            if number in ipaddress.ip_network(one, strict=False):
                return True
        except ValueError:
            continue
    return False
