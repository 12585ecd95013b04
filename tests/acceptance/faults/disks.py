"""A store that is full, can't be written to, loses a file, or has one whose bits have turned."""

from __future__ import annotations

import contextlib
import resource
import time
from pathlib import Path

import psutil
from faults.scene import Scene

from orchestrator import doctor

SHORT = 4096
"""Bytes after which a write breaks off: less than any image has."""


def cut_short(scene: Scene) -> int:
    """Files of the working processes end after a few bytes, as on a disk that fills up in mid-write."""
    children = scene.crew.children()
    if not children:
        return 0
    _limit(children, SHORT)
    scene.later(lambda: _limit(children, resource.RLIM_INFINITY))
    time.sleep(scene.dice.uniform(0.4, 1.2))
    _limit(children, resource.RLIM_INFINITY)
    scene.tally["write cut short"] += 1
    return 1


def _limit(processes: list[psutil.Process], size: int) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            _, hard = resource.prlimit(one.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (size, hard))


def forbid(scene: Scene) -> int:
    """The folder where files are written is none any more; what is in the store can still be read."""
    folder = scene.stack.store / "incoming"
    aside = folder.with_name("incoming.aside")
    if not folder.is_dir() or aside.exists():
        return 0

    def back() -> None:
        if aside.exists():
            folder.unlink(missing_ok=True)
            aside.rename(folder)

    scene.later(back)
    folder.rename(aside)
    folder.touch()
    time.sleep(scene.dice.uniform(0.4, 1.2))
    back()
    scene.tally["store not writable"] += 1
    return 1


def flip(scene: Scene) -> int:
    """A bit turns in a reference that images need, or in an image; later somebody has it made again."""
    path = _some_file(scene)
    if path is None:
        return 0
    data = bytearray(path.read_bytes())
    place = scene.dice.randrange(len(data) * 8)
    data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)
    scene.tally["bit flipped in a file"] += 1
    scene.pause(0.3, 1.0)
    path.unlink()
    _make_again(scene)
    return 1


def lose(scene: Scene) -> int:
    """A file is gone; later somebody has it made again."""
    path = _some_file(scene)
    if path is None:
        return 0
    path.unlink()
    scene.tally["file lost"] += 1
    scene.pause(0.3, 1.0)
    _make_again(scene)
    return 1


def _some_file(scene: Scene) -> Path | None:
    """A prepared reference of the scene as often as a finished image."""
    prepared = """
    select p.result, r.job_id from preparation p join job_reference r on r.preparation_id = p.id
    join item on item.job_id = r.job_id join campaign on campaign.id = item.campaign_id
    where campaign.name = any(:names) and p.state = 'done'
    """
    made = """
    select asset.sha256, asset.job_id from asset join item on item.job_id = asset.job_id
    join campaign on campaign.id = item.campaign_id where campaign.name = any(:names)
    """
    query = scene.dice.choice((prepared, made))
    found = sorted(set(scene.values(query, names=scene.campaigns)))
    if not found:
        return None
    sha256 = scene.dice.choice(found)
    scene.again.update(scene.values("select job_id from asset where sha256 = :sha256", sha256=sha256))
    return scene.store.local_path(sha256)


def _make_again(scene: Scene) -> None:
    """As `dreamline doctor --fix` does, which the message about a damaged file asks for."""
    list(doctor.examine(scene.settings, fix=True))
