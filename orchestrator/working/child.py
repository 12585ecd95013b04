"""Working: the processes in which plugins and models run. They hold no lease and write no row.

Each is started by its supervisor as `python -m orchestrator.working.child FD ROLE`, so that no library meets a
forked process, and killed without harm at any moment: files go to the store under a name of their own first.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Protocol

from core import registry
from core.settings import Settings
from orchestrator import logs
from orchestrator.records.storage import open_storage
from orchestrator.working.inbox import Inbox
from orchestrator.working.messages import Ready


class Role(Protocol):
    """What one process is for."""

    def serve(self) -> None:
        """Does what the inbox brings until the supervisor is gone."""
        ...


def make_role(name: str, inbox: Inbox, settings: Settings) -> Role:
    """The role that a process was started for: `prepare`, `make` or `finish`."""
    from orchestrator.working.finishing import Finisher
    from orchestrator.working.making import Maker
    from orchestrator.working.preparing import Preparer

    kinds: Mapping[str, type[Finisher] | type[Maker] | type[Preparer]] = {
        "finish": Finisher,
        "make": Maker,
        "prepare": Preparer,
    }
    return kinds[name](inbox, settings, registry.load(settings), open_storage(settings.store_url))


def _die_with(parent: int) -> None:
    """Ends this process when its supervisor is gone, also in the middle of a long step."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main(arguments: Sequence[str]) -> None:
    """The wire is the file descriptor that comes first; what is printed goes to standard error."""
    inbox = Inbox(Connection(int(arguments[0])))
    os.dup2(2, 1)
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    settings = Settings.from_env()
    logs.set_up(settings)
    role = make_role(arguments[1], inbox, settings)
    inbox.send(Ready())
    role.serve()
    # Threads may be at a plugin's or a storage's call that never ends.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
