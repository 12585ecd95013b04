"""Dashboard: who is asking. Pages know by the login, routes by a signed token that the page was given.

A token says who and until when, never what one may do: rights are read at each call. Where it is for pictures
it opens nothing else, since it stands in addresses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import text

from core.errors import DreamlineError
from dashboard.office import Office
from orchestrator.reviewing.people import Actor, Role, find_member

Purpose = Literal["act", "see"]

LIFETIME = 3600
"""Seconds. A token ends at the second full hour from now, so that pictures keep their addresses for a while."""


class Unknown(DreamlineError):
    """Nobody we know is asking: no token, a forged or an expired one, or a person who is no member."""


def mint(office: Office, name: str, purpose: Purpose, now: float | None = None) -> str:
    """A token for `name`."""
    until = (int((now if now is not None else time.time()) // LIFETIME) + 2) * LIFETIME
    claims = json.dumps({"name": name, "for": purpose, "until": until}, sort_keys=True).encode()
    return f"{_encode(claims)}.{_encode(_sign(office, claims))}"


def read(office: Office, token: str, purpose: Purpose, now: float | None = None) -> Actor:
    """The person that a token was given to, with the rights of this moment.

    Raises:
        Unknown: it is not one of ours, is for something else, has expired, or its owner is no member any more.
    """
    try:
        body, signature = (_decode(part) for part in token.split("."))
        genuine = hmac.compare_digest(signature, _sign(office, body))
        claims = json.loads(body) if genuine else {}
    except ValueError:
        claims = {}
    if not claims:
        raise Unknown("the token is not one of ours: reload the page")
    if claims["for"] != purpose or claims["until"] < (now if now is not None else time.time()):
        raise Unknown("the token has expired: reload the page")
    return known(office, claims["name"])


def address(claims: Mapping[str, Any]) -> str:
    """Whose login this is, by what the OpenID provider claims (OpenID Connect Core 1.0, section 5.1).

    Raises:
        Unknown: it gives no address, or says that nobody has verified that it is this person's. A provider that
            says nothing of that is believed.
    """
    email = str(claims.get("email") or "")
    if not email:
        raise Unknown("the login gives no e-mail address: ask the provider for the scope `email`")
    if str(claims.get("email_verified", True)).lower() != "true":
        raise Unknown(f"{email} was not verified by the provider: confirm the address there, and log in again")
    return email


def known(office: Office, name: str) -> Actor:
    """The actor of that name: a member, or whoever sits at this machine.

    Raises:
        Unknown: nobody is called that.
    """
    if office.local and name == office.local and not office.member:
        return Actor(name, Role.ADMIN)
    with office.database.begin() as connection:
        found = find_member(connection, name)
    if found is None or (office.local and name != office.local):
        raise Unknown(f"{name} is no member here; an admin adds people with `dreamline people set NAME ROLE`")
    return found


def _sign(office: Office, body: bytes) -> bytes:
    return hmac.digest(_key(office), body, hashlib.sha256)


def _key(office: Office) -> bytes:
    """The key that all dashboards of a database share; made by the first."""
    if "tokens" not in office.keys:
        with office.database.begin() as connection:
            connection.execute(
                text("insert into signing_key (name, secret) values ('tokens', :secret) on conflict do nothing"),
                {"secret": secrets.token_bytes(32)},
            )
            row = connection.execute(text("select secret from signing_key where name = 'tokens'")).one()
        office.keys["tokens"] = bytes(row.secret)
    return office.keys["tokens"]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
