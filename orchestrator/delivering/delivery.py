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
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, text

from core.errors import BadInput, Problem
from orchestrator.delivering.folder import ELSEWHERE, Folder
from orchestrator.delivering.manifest import CSV, JSON, Line, Manifest
from orchestrator.delivering.orders import Deliverable, Order
from orchestrator.delivering.refusals import in_short
from orchestrator.delivering.rendering.images import Unfit, render
from orchestrator.delivering.rendering.marking import MADE_BY_A_MODEL, program, xmp_packet
from orchestrator.delivering.rendering.signing import sign
from orchestrator.records.storage import Storage

AT_ONCE = min(8, os.cpu_count() or 1)
"""Files that are rendered beside one another."""

LEFT_OUT = "left-out.txt"

Progressed = Callable[[int, int], None]
"""Told how many files are done, of how many."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of it.

    Attributes:
        files: that the folder holds of ours.
        left: files of an earlier delivery that somebody changed, which are still there.
        refused: images that their destination does not take, with reasons.
    """

    files: int
    written: int
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    refused: tuple[Problem, ...] = ()


def deliver(store: Storage, order: Order, folder: Path, by: str, progressed: Progressed) -> Delivery:
    """Brings a folder to what is approved; `by` is who delivers. Called again it writes nothing twice.

    What was delivered to destinations that are not asked for now stays as long as it is approved; so does what is
    approved still and is refused now.

    Raises:
        BadInput: nothing is approved, the folder holds another campaign's delivery, a file is in the way, another
            delivery is at work there, or it can't be written; nothing is written then but what was whole already.
    """
    if not order.deliverables and not folder.exists():
        raise nothing_to_deliver(order)
    try:
        with Folder.open(folder, order.campaign) as there:
            if not order.deliverables and there.fresh:
                raise nothing_to_deliver(order)
            there.refuse_strangers(one.name for one in order.deliverables)
            return _bring(store, order, there, by, progressed)
    except OSError as error:
        raise BadInput.at(f"folder {folder}", f"can't be written ({error.strerror})", ELSEWHERE) from error


def _bring(store: Storage, order: Order, there: Folder, by: str, progressed: Progressed) -> Delivery:
    held = {line.file: line for line in there.held()}
    lines, refused, written = [line for line in held.values() if order.stands_for(line)], list(order.refused), 0
    known = [there.find(one.name, one.item.sha256, order.made(one)) for one in order.deliverables]
    missing = [one for one, line in zip(order.deliverables, known, strict=True) if line is None]
    with _rendering(store, order, missing) as new:
        for number, (one, before) in enumerate(zip(order.deliverables, known, strict=True), start=1):
            if before is not None:
                lines.append(_line(order, one, before.bytes, before.sha256))
            elif isinstance(made := next(new), bytes):
                lines.append(_line(order, one, len(made), hashlib.sha256(made).hexdigest()))
                there.write(lines[-1], made)
                written += 1
            else:
                stays = held.get(one.name)
                stays = stays if stays is not None and stays.image == one.item.sha256 else None
                refused += _refusals(one, made, stays)
                lines += [] if stays is None else [stays]
            progressed(number, len(order.deliverables))
    if not lines and there.fresh:
        raise BadInput(*in_short(refused))
    lines.sort(key=lambda line: line.destination)
    gone, manifest = there.without(lines), _manifest(order, lines, by)
    if tuple(lines) == there.earlier and not gone:
        there.mend_table()
        return Delivery(len(lines), written, refused=tuple(refused))
    removed, left = there.end(manifest, gone)
    return Delivery(len(lines), written, removed, left, tuple(refused))


def deliver_archive(store: Storage, order: Order, path: Path, by: str, progressed: Progressed) -> Delivery:
    """Writes a ZIP with all files and both manifests, whole or not at all; `left-out.txt` says what is not in it.

    Raises:
        BadInput: nothing is approved, no destination takes any of it, or the file can't be written.
    """
    if not order.deliverables:
        raise nothing_to_deliver(order)
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    lines: list[Line] = []
    refused = list(order.refused)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(half, "w", zipfile.ZIP_STORED) as archive,
            _rendering(store, order, order.deliverables) as rendered,
        ):
            for number, (one, made) in enumerate(zip(order.deliverables, rendered, strict=True), start=1):
                if isinstance(made, bytes):
                    archive.writestr(one.name, made)
                    lines.append(_line(order, one, len(made), hashlib.sha256(made).hexdigest()))
                else:
                    refused += _refusals(one, made)
                progressed(number, len(order.deliverables))
            if not lines:
                raise BadInput(*in_short(refused))
            lines.sort(key=lambda line: line.destination)
            manifest = _manifest(order, lines, by)
            if refused:
                archive.writestr(LEFT_OUT, "".join(f"{problem}\n" for problem in refused))
            archive.writestr(CSV, manifest.as_csv())
            archive.writestr(JSON, manifest.as_json())
        half.replace(path)
    except OSError as error:
        raise BadInput.at(
            str(path), f"can't be written ({error.strerror})", "Name another file with --output"
        ) from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return Delivery(len(lines), len(lines), refused=tuple(refused))


def _refusals(one: Deliverable, error: Unfit, stays: Line | None = None) -> list[Problem]:
    """Why an image is left out, by its file's name; `stays` is what was delivered of it before."""
    still = "" if stays is None else "; the file stays as it was delivered before"
    return [replace(problem, where=one.name, what=f"{problem.what}{still}") for problem in error.problems]


def nothing_to_deliver(order: Order) -> BadInput:
    """Where there is nothing to deliver."""
    if order.refused:
        return BadInput(*in_short(order.refused))
    if order.approved:
        what = f"none of its {len(order.approved):,} approved images is of the format nearest to them"
        mend = "Approve those, or leave --to out"
        return BadInput.at(f"destinations {', '.join(order.destinations)}", what, mend)
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
        "refused": len(done.refused),
        "destinations": [name for name in order.destinations if name],
        "signed": order.credential is not None,
        "decisions": order.decisions,
        "head": order.head,
    }
    statement = text("""
    insert into event (kind, campaign_id, facts) values ('campaign.delivered', :campaign, cast(:facts as jsonb))
    """)
    connection.execute(statement, {"campaign": campaign_id, "facts": json.dumps(facts)})


@contextmanager
def _rendering(store: Storage, order: Order, files: Sequence[Deliverable]) -> Iterator[Iterator[bytes | Unfit]]:
    """What becomes of each in turn, made by several threads: all cores at work, and few files in memory."""
    pool = ThreadPoolExecutor(AT_ONCE, "render")

    def made() -> Iterator[bytes | Unfit]:
        coming: deque[Future[bytes | Unfit]] = deque()
        for one in files:
            coming.append(pool.submit(_render, store, order, one))
            if len(coming) > 2 * AT_ONCE:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()

    try:
        yield made()
    finally:
        pool.shutdown(cancel_futures=True)


def _render(store: Storage, order: Order, one: Deliverable) -> bytes | Unfit:
    """The bytes of a file, or why its destination does not take the image."""
    source = f"image {one.item.sha256}"
    ending = PurePosixPath(one.name).suffix.lower()
    model, credential, finish = one.item.model, order.credential, None
    if credential is not None:
        title = PurePosixPath(one.name).name
        finish = partial(sign, ending=ending, title=title, model=model, credential=credential)
    try:
        return render(store.get(one.item.sha256), source, one.look, ending, xmp_packet(model), finish)
    except Unfit as error:
        return error


def _line(order: Order, one: Deliverable, size: int, sha256: str) -> Line:
    item, copy = one.item, one.look.copy
    width, height = one.look.size or (item.width, item.height)
    said = {"headline": copy.headline, "price": copy.price, "label": copy.label}
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
        made=order.made(one),
        model=item.model,
        prompt=item.prompt,
        references=list(item.references),
        approved_by=one.approval.actor,
        approved_at=one.approval.at.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        decision=one.approval.number,
        decision_hash=one.approval.hash,
        destination=one.destination,
        copy={name: text_ for name, text_ in said.items() if text_},
    )


def _manifest(order: Order, lines: list[Line], by: str) -> Manifest:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Manifest(order.campaign, program(), by, now, MADE_BY_A_MODEL, order.decisions, order.head, tuple(lines))
