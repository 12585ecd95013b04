"""Examining: this machine: its variables, plugins, disks, and the weights of its models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

from core import registry, settings
from core.cards import find_cards, read_card
from core.errors import DreamlineError
from core.generation.files import card_files
from orchestrator.examining.finding import Finding
from orchestrator.operating.health import nearest
from orchestrator.records.folder_storage import FolderStorage
from orchestrator.records.models import hash_files
from orchestrator.records.storage import open_storage

LEAST_FREE = 2 * 2**30
"""Bytes of disk below which a warning is given."""


def environment() -> Iterator[Finding]:
    """Variables that nobody reads."""
    problems = settings.misspelt()
    for problem in problems:
        yield Finding("environment", "warning", f"{problem.where}: {problem.what}", problem.mend)
    if not problems:
        yield Finding("environment", "ok", "every DREAMLINE_ variable is known")


def plugins(config: settings.Settings) -> Iterator[Finding]:
    """Plugins that can't be loaded, or that break their contract."""
    mend = "Install it again, or leave it out by DREAMLINE_BLOCK"
    try:
        found = registry.load(config)
        kinds = ", ".join(sorted(found.kinds()))
    except DreamlineError as error:
        yield Finding("plugins", "error", str(error), mend)
        return
    for info in found.broken.values():
        yield Finding("plugins", "error", f"plugin {info.name!r} can't be loaded: {info.error}", mend)
    if not found.broken:
        yield Finding("plugins", "ok", f"kinds: {kinds}")


def disks(config: settings.Settings) -> Iterator[Finding]:
    """Room on the disk of the home, and on that of the store where it is another."""
    places = [config.home]
    try:
        store = open_storage(config.store_url)
    except DreamlineError:
        pass  # said where the storage is looked at
    else:
        places += [store.root] if isinstance(store, FolderStorage) else []
    seen = set()
    for place in map(nearest, places):
        if (disk := place.stat().st_dev) in seen:
            continue
        seen.add(disk)
        free = shutil.disk_usage(place).free
        message = f"{free / 2**30:.1f} GB free at {place}"
        if free > LEAST_FREE:
            yield Finding("disk", "ok", message)
        else:
            mend = "Make room: `dreamline doctor --fix` deletes files without a row; or move the home or the store"
            yield Finding("disk", "warning", message, mend)


def weights(config: settings.Settings, recorded: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Models whose files are missing in part, or are not those that were recorded.

    The first look at a large model's files takes minutes: they are hashed. A model that nobody has fetched is
    no fault.
    """
    here, absent = [], []
    for name, path in find_cards(config).items():
        try:
            card = read_card(path)
            files = card_files(card, config) if card.base else []
        except DreamlineError as error:
            yield Finding("weights", "error", f"model {name!r}: {error}", "Mend the card or fetch its files again")
            continue
        missing = [one.name for one in files if not one.path.is_file()]
        known = recorded.get(name, {})
        if missing:
            absent.append(f"{name} (lacks {len(missing)} of {len(files)} files)")
            if known and len(missing) < len(files):
                message = f"model {name!r}: {_some(missing)} missing here, {len(files) - len(missing)} are present"
                yield Finding("weights", "warning", message, f"`dreamline models fetch {name}` fetches them")
            continue
        here.append(name)
        now = hash_files(card, config) if known else {}
        if changed := [one for one in now if one in known and now[one] != known[one]]:
            message = f"model {name!r}: {_some(changed)} not what was recorded: nothing is made with it here"
            mend = (
                f"Fetch again what changed, or record what is here by `dreamline models check {name}` "
                "(images made until now keep the old hashes)"
            )
            yield Finding("weights", "error", message, mend)
    told = f"here: {', '.join(here) or 'none'}" + (f"; not here: {', '.join(absent)}" if absent else "")
    yield Finding("weights", "ok", told)


def _some(names: list[str], most: int = 3) -> str:
    """`a, b and 4 more are`."""
    more = len(names) - most
    told = ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
    return f"{told} {'is' if len(names) == 1 else 'are'}"
