"""Delivering: a folder that holds what is approved, and nothing else of ours.

Each file is whole or absent, and the manifest is written last. What an earlier delivery wrote and nobody stands
for any more is taken away; a file that somebody else put there or changed is never touched.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, text

from core.errors import BadInput, Problem
from orchestrator.delivering.manifest import CSV, JSON, Line, Manifest, read_manifest
from orchestrator.delivering.marking import MADE_BY_A_MODEL, program, xmp_packet
from orchestrator.delivering.orders import Deliverable, Order
from orchestrator.delivering.rendering import render
from orchestrator.delivering.whole_files import write_whole
from orchestrator.records.storage import Storage

Progressed = Callable[[int, int], None]
"""Told how many files are done, of how many."""

ELSEWHERE = "Name another folder with --output"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of it. `left` are files of an earlier delivery that somebody changed, which are still there."""

    files: int
    written: int
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def deliver(store: Storage, order: Order, folder: Path, by: str, progressed: Progressed) -> Delivery:
    """Brings a folder to what is approved; `by` is who delivers. Called again it writes nothing twice.

    Raises:
        BadInput: nothing is approved, the folder holds another campaign's delivery, a file is in the way, or it
            can't be written; nothing is written then but what was whole already.
    """
    before = read_manifest(folder)
    if before is not None and before.campaign != order.campaign:
        raise BadInput.at(f"folder {folder}", f"holds a delivery of {before.campaign}", ELSEWHERE)
    if not order.deliverables and before is None:
        raise nothing_approved(order)
    old = {line.file: line for line in before.files} if before is not None else {}
    _refuse_strangers(store, order, folder, old)
    try:
        lines, written = [], 0
        for number, one in enumerate(order.deliverables, start=1):
            line, new = _bring(store, one, folder, old.get(one.name))
            lines.append(line)
            written += new
            progressed(number, len(order.deliverables))
        if before is None or tuple(lines) != before.files:
            manifest = _manifest(order, lines, by)
            write_whole(folder / CSV, manifest.as_csv())
            removed, left = _take_away(folder, [old[name] for name in old.keys() - {line.file for line in lines}])
            write_whole(folder / JSON, manifest.as_json())
            return Delivery(len(lines), written, removed, left)
    except OSError as error:
        raise BadInput.at(f"folder {folder}", f"can't be written ({error.strerror})", ELSEWHERE) from error
    return Delivery(len(lines), written)


def deliver_archive(store: Storage, order: Order, path: Path, by: str, progressed: Progressed) -> Delivery:
    """Writes a ZIP with all files and both manifests, whole or not at all.

    Raises:
        BadInput: nothing is approved, or the file can't be written.
    """
    if not order.deliverables:
        raise nothing_approved(order)
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    lines = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(half, "w", zipfile.ZIP_STORED) as archive:
            for number, one in enumerate(order.deliverables, start=1):
                data = _render(store, one)
                archive.writestr(one.name, data)
                lines.append(_line(one, len(data), hashlib.sha256(data).hexdigest()))
                progressed(number, len(order.deliverables))
            manifest = _manifest(order, lines, by)
            archive.writestr(CSV, manifest.as_csv())
            archive.writestr(JSON, manifest.as_json())
        half.replace(path)
    except OSError as error:
        raise BadInput.at(
            str(path), f"can't be written ({error.strerror})", "Name another file with --output"
        ) from error
    finally:
        half.unlink(missing_ok=True)
    return Delivery(len(lines), len(lines))


def nothing_approved(order: Order) -> BadInput:
    """Where there is nothing to deliver."""
    what = f"none of its {order.asked} images is approved"
    return BadInput.at(f"campaign {order.campaign}", what, "Approve some: `dreamline dashboard`")


def record_delivery(
    connection: Connection, campaign_id: int, order: Order, done: Delivery, target: str, by: str
) -> None:
    """An event in the campaign's record: who delivered what, where, and after which decision."""
    facts = {
        "by": by,
        "output": target,
        "files": done.files,
        "written": done.written,
        "removed": len(done.removed),
        "decisions": order.decisions,
        "head": order.head,
    }
    statement = text("""
    insert into event (kind, campaign_id, facts) values ('campaign.delivered', :campaign, cast(:facts as jsonb))
    """)
    connection.execute(statement, {"campaign": campaign_id, "facts": json.dumps(facts)})


def _refuse_strangers(store: Storage, order: Order, folder: Path, old: dict[str, Line]) -> None:
    """Raises BadInput with every file in the way that neither an earlier delivery nor this one writes so."""

    def problems() -> Iterator[Problem]:
        for one in order.deliverables:
            path = folder / one.name
            there = _digest(path)
            before = old.get(one.name)
            if there is None or (before is not None and before.sha256 == there):
                continue
            # One that was written just before an interruption is in no manifest.
            if hashlib.sha256(_render(store, one)).hexdigest() != there:
                what = "is there already, and no delivery wrote it so"
                yield Problem(str(path), what, f"Move it away, or {ELSEWHERE[0].lower()}{ELSEWHERE[1:]}")

    BadInput.gather(problems())


def _bring(store: Storage, one: Deliverable, folder: Path, before: Line | None) -> tuple[Line, bool]:
    """The line of a file, which is there afterwards, and whether it was written."""
    path = folder / one.name
    there = _digest(path)
    if before is not None and (before.image, before.made, before.sha256) == (one.item.sha256, one.made, there):
        return _line(one, before.bytes, before.sha256), False
    data = _render(store, one)
    sha256 = hashlib.sha256(data).hexdigest()
    if there != sha256:
        write_whole(path, data)
    return _line(one, len(data), sha256), there != sha256


def _take_away(folder: Path, lines: list[Line]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Removes files of an earlier delivery; names those that are gone, and those left since they were changed."""
    removed, left = [], []
    for line in sorted(lines, key=lambda line: line.file):
        path = folder / line.file
        if not path.resolve().is_relative_to(folder.resolve()) or _digest(path) not in (line.sha256, None):
            left.append(line.file)
            continue
        path.unlink(missing_ok=True)
        removed.append(line.file)
        for parent in PurePosixPath(line.file).parents[:-1]:
            if (inside := folder / parent).is_dir() and not any(inside.iterdir()):
                inside.rmdir()
    return tuple(removed), tuple(left)


def _render(store: Storage, one: Deliverable) -> bytes:
    source = f"image {one.item.sha256}"
    ending = PurePosixPath(one.name).suffix.lower()
    return render(store.get(one.item.sha256), source, one.wanted, ending, xmp_packet(one.item.model))


def _line(one: Deliverable, size: int, sha256: str) -> Line:
    item = one.item
    width, height = one.wanted or (item.width, item.height)
    return Line(
        file=one.name,
        row=item.row,
        variant=dict(item.variant),
        format=item.format,
        seed=item.seed,
        width=width,
        height=height,
        bytes=size,
        sha256=sha256,
        image=item.sha256,
        native=f"{item.width}x{item.height}",
        made=one.made,
        model=item.model,
        prompt=item.prompt,
        references=list(item.references),
        approved_by=one.approval.actor,
        approved_at=one.approval.at.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        decision=one.approval.number,
        decision_hash=one.approval.hash,
    )


def _manifest(order: Order, lines: list[Line], by: str) -> Manifest:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Manifest(order.campaign, program(), by, now, MADE_BY_A_MODEL, order.decisions, order.head, tuple(lines))


def _digest(path: Path) -> str | None:
    """Of a file's bytes; None where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
