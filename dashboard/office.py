"""Dashboard: what every page and route works with: database, store, plugins, and who may sit here.

One office a process, opened by the server or, where there is none (a page run by itself), by the first page
that asks for it.
"""

from __future__ import annotations

import getpass
import threading
from dataclasses import dataclass, field

from core.registry import Registry, load
from core.settings import Settings
from orchestrator.previews import Previews
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage, open_storage


@dataclass(frozen=True, slots=True)
class Office:
    """What is open in this process.

    Attributes:
        settings, database, store, registry, previews: as everywhere.
        local: the name of the one person who works here without logging in; empty where people log in.
        member: that person has the rights of the member of this name; else all rights.
        keys: secrets that were read from the database.
    """

    settings: Settings
    database: Database
    store: Storage
    registry: Registry
    previews: Previews
    local: str = ""
    member: bool = False
    keys: dict[str, bytes] = field(default_factory=dict)


_lock = threading.Lock()
_office: Office | None = None


def open_office(settings: Settings, *, member: str = "", login: bool = False) -> Office:
    """Opens the office of this process.

    Args:
        settings: where everything is.
        member: act as this member instead of as the machine's user with all rights.
        login: people log in; nobody is here without.

    Raises:
        DreamlineError: the database can't be used as it is.
    """
    global _office
    with _lock:
        database, store = Database(settings), open_storage(settings.store_url)
        database.upgrade() if settings.embedded else database.require_newest()
        local = "" if login else (member.casefold() or _user())
        _office = Office(settings, database, store, load(settings), Previews(settings, store), local, bool(member))
        return _office


def office() -> Office:
    """The office of this process."""
    return _office or open_office(Settings.from_env())


def close_office() -> None:
    """Closes the database's connections; the next call of `office` opens another."""
    global _office
    with _lock:
        if _office is not None:
            _office.database.close()
        _office = None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "local"
