"""Fetching: every address of a brief once, a few at a time, with what is kept from before.

What was fetched in the last minutes is not asked for again; what is older is asked for by its mark, so that only
what has changed comes anew. Where a server doesn't answer, the picture from before stands in, and that is said.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from core.settings import Settings
from orchestrator.planning.fetching.addresses import read_address
from orchestrator.planning.fetching.buckets import copy_object, is_bucket
from orchestrator.planning.fetching.downloads import Limits, Switch, Version, download
from orchestrator.planning.fetching.kept import Kept, Note
from orchestrator.planning.fetching.refused import Refused

AT_ONCE = 6
FRESH_SECONDS = 600.0
TRIES = 3
PAUSE_SECONDS = 0.5
"""Before the second try; doubles with each."""

Show = Callable[[int, int], None]
"""Told how many of how many addresses are done."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of an address: a file, or why there is none.

    `warning` says that the file is one from before, and why. `address` is as messages may show it.
    """

    address: str
    path: Path | None = None
    refused: Refused | None = None
    warning: str = ""


def public_part(address: str) -> str:
    """An address, or a path, as messages show it: without what may be a key, a user's name, password or query."""
    return _USER.sub(r"\1", address.partition("?")[0] if "://" in address else address)


_USER = re.compile(r"^(\w[\w+.-]*://)[^/@]*@")


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches within the limits of the settings.

    Attributes:
        settings: these.
        show: called from the thread that asks.
        strange: the brief comes from somebody who may use neither this machine's files nor its credentials.
    """

    settings: Settings
    show: Show | None = None
    strange: bool = False

    def fetch(self, addresses: Iterable[str]) -> Mapping[str, Fetched]:
        """Every address once; what is wrong is in the values."""
        distinct = list(dict.fromkeys(addresses))
        found: dict[str, Fetched] = {}
        if not distinct:
            return found
        switch = Switch()
        with ThreadPoolExecutor(AT_ONCE, "fetch") as threads:
            waiting = {threads.submit(self._one, address, switch): address for address in distinct}
            try:
                for number, done in enumerate(as_completed(waiting), start=1):
                    found[waiting[done]] = done.result()
                    if self.show is not None:
                        self.show(number, len(distinct))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                switch.off()
                raise
        return {address: found[address] for address in distinct}

    def _one(self, address: str, switch: Switch) -> Fetched:
        kept, shown = Kept.of(self.settings), public_part(address)
        note = kept.note(address)
        before = kept.path(note.sha256) if note.sha256 else None
        if before is not None and 0 <= time.time() - note.checked < FRESH_SECONDS:
            kept.use(note)
            return Fetched(shown, before)
        try:
            note = self._try(address, note, kept, switch)
        except Refused as refused:
            if before is None or refused.lasting:
                return Fetched(shown, refused=refused)
            told = f"{shown} {refused.what}; the picture that was fetched {_ago(note.checked)} is used"
            kept.use(note)
            return Fetched(shown, before, warning=told)
        except OSError as error:
            told = f"can't be kept below {self.settings.home} ({error.strerror})"
            return Fetched(shown, refused=Refused(told, "Free some space, or check the folder's permissions"))
        return Fetched(shown, kept.path(note.sha256))

    def _try(self, address: str, note: Note, kept: Kept, switch: Switch) -> Note:
        for number in range(1, TRIES + 1):
            try:
                with kept.part(address) as part:
                    return self._ask(address, note, kept, part, switch)
            except Refused as refused:
                if refused.lasting or number == TRIES:
                    raise
                note = kept.note(address)
                time.sleep(PAUSE_SECONDS * 2 ** (number - 1))
        raise AssertionError("the last try returns or raises")

    def _ask(self, address: str, note: Note, kept: Kept, part: Path, switch: Switch) -> Note:
        if is_bucket(address):
            mark = copy_object(address, part, note.etag if note.sha256 else "")
            found = None if mark is None else Version(mark)
        else:
            limits = Limits(self.settings.picture_seconds, self.settings.private_hosts, switch)
            found = download(read_address(address), part, note.version, limits)
        now = time.time()
        if found is None:
            fresh = replace(note, checked=now)
            kept.write(fresh)
            return fresh
        return kept.keep(part, Note(address, etag=found.etag, modified=found.modified, checked=now))


def _ago(checked: float) -> str:
    hours = (time.time() - checked) / 3600
    return f"{hours:.0f} hours ago" if hours >= 2 else f"{hours * 60:.0f} minutes ago"
