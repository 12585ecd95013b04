"""Operating: is this process alive, and is what it needs in reach? For `/healthz` and `/readyz`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import DreamlineError, Infrastructure
from core.settings import Settings
from orchestrator.operating.broker import ask_broker
from orchestrator.records.database import Database, newest, version
from orchestrator.records.folder_storage import FolderStorage
from orchestrator.records.storage import Storage, open_storage

FRESH = 2.0
"""Seconds for which an answer stands, so that many who ask do not burden what they ask about."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that work needs: whether it answers, and what it said."""

    part: str
    ok: bool
    message: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Health:
    """Asks database, broker and storage; each in turn, at most once in a few seconds. Safe for threads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._checks: Mapping[str, Callable[[], str]] = {
            "database": lambda: _database(database),
            "broker": lambda: ask_broker(settings).name,
            "storage": lambda: reach_storage(open_storage(settings.store_url)),
        }
        self._lock = threading.Lock()
        self._taken = float("-inf")
        self._parts: list[Part] = []

    def ready(self) -> list[Part]:
        """What work needs, in the order in which it matters."""
        with self._lock:
            if time.monotonic() - self._taken > FRESH:
                self._parts = [_ask(part, check) for part, check in self._checks.items()]
                self._taken = time.monotonic()
            return self._parts


def _ask(part: str, check: Callable[[], str]) -> Part:
    try:
        return Part(part, True, check())
    except DreamlineError as error:
        return Part(part, False, str(error))
    except Exception as error:
        return Part(part, False, f"{type(error).__name__}: {error}")


def _database(database: Database) -> str:
    with database.begin() as connection:
        found = version(connection)
    if found != newest():
        raise DreamlineError(f"tables of version {found or 'none'}, wanted {newest()}: run `dreamline db upgrade`")
    return f"tables of version {found}"


def reach_storage(store: Storage) -> str:
    """Asks the store for something that it does not have; a folder has to be there, or to be possible.

    Raises:
        Infrastructure: it can't be reached or written.
    """
    if isinstance(store, FolderStorage):
        place = nearest(store.root)
        if not os.access(place, os.W_OK | os.X_OK):
            raise Infrastructure(f"{place} can't be written by this user")
    store.exists("0" * 64)
    return store.url


def nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
