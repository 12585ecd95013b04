"""Examining: what all machines share: the database with its clock, the broker, the storage."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from sqlalchemy import text

from core.errors import DreamlineError
from core.settings import Settings
from orchestrator.examining.finding import Finding
from orchestrator.operating.broker import ask_broker
from orchestrator.operating.clock import read_skew
from orchestrator.records.database import Database, newest, version
from orchestrator.records.storage import open_storage

OLDEST_POSTGRES = 15

MOST_SKEW = 5.0
"""Seconds by which this machine's clock may differ from the database's. Leases go by the database's alone; logs
and what people see go by both."""


def database(base: Database) -> Iterator[Finding]:
    """The server, its tables and its clock."""
    with base.begin() as connection:
        server = connection.execute(text("show server_version")).scalar_one()
        number = int(connection.execute(text("show server_version_num")).scalar_one())
        skew = read_skew(connection)
        found = version(connection)
    if number // 10000 < OLDEST_POSTGRES:
        message = f"Postgres {server} is too old"
        yield Finding("database", "error", message, f"dreamline wants Postgres {OLDEST_POSTGRES} or newer")
    elif found != newest():
        message = f"Postgres {server} has tables of version {found or 'none'}, this dreamline wants {newest()}"
        mend = "Run `dreamline db upgrade`; where the tables are newer, upgrade dreamline"
        yield Finding("database", "error", message, mend)
    else:
        yield Finding("database", "ok", f"Postgres {server}, tables of version {found}")
    if abs(skew) > MOST_SKEW:
        side = "ahead of" if skew > 0 else "behind"
        message = f"this machine's clock is {abs(skew):.0f} s {side} the database's"
        yield Finding("clock", "warning", message, "Let NTP set both (`timedatectl set-ntp true`)")
    else:
        yield Finding("clock", "ok", f"{abs(skew) * 1000:.0f} ms from the database's")


def broker(config: Settings) -> Iterator[Finding]:
    """Whether wake-ups can be sent, and whether they are kept."""
    if config.broker_url is None:
        yield Finding("broker", "ok", f"messages are files below {config.home / 'messages'}")
        return
    try:
        told = ask_broker(config)
    except Exception as error:
        message = f"can't be reached ({error}): wake-ups are not sent, workers find work by polling alone"
        yield Finding("broker", "warning", message, "Start it, or correct DREAMLINE_BROKER_URL")
        return
    for doubt, mend in told.doubts:
        yield Finding("broker", "warning", f"{told.name} {doubt}", mend)
    if not told.doubts:
        yield Finding("broker", "ok", told.name)


def storage(config: Settings) -> Iterator[Finding]:
    """Whether a file can be written, read and deleted."""
    data = secrets.token_bytes(64)
    try:
        store = open_storage(config.store_url)
        sha256 = store.put(data, "doctor")
        try:
            same = store.get(sha256) == data
        finally:
            store.delete(sha256)
    except DreamlineError as error:
        mend = "Let this user write there, or correct DREAMLINE_STORAGE_URL; no image can be kept until then"
        yield Finding("storage", "error", str(error), mend)
        return
    assert same
    yield Finding("storage", "ok", f"written and read at {store.url}")
