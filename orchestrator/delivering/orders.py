"""Delivering: what is to be delivered of a campaign: its approved items, each as the file of a destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, text

from core.errors import BadInput, Problem
from core.formats import crop_size, wanted_size
from orchestrator.delivering.delivery_file import Placement, check_copy, preset, read_delivery_file
from orchestrator.delivering.destinations import Destination, Kind
from orchestrator.delivering.file_names import file_names, recorded_naming, recorded_values
from orchestrator.delivering.items import Approval, Item, read_items
from orchestrator.delivering.manifest import Line
from orchestrator.delivering.rendering.images import FORM, Look
from orchestrator.delivering.rendering.marking import program
from orchestrator.delivering.rendering.signing import Credential
from orchestrator.planning.findings import suggest
from orchestrator.planning.keys import variant_key
from orchestrator.reviewing import chain

LEAST_KEPT = 0.6
"""Share of an image's pixels that a cut has to leave; formats of the model's leave 0.65 and more for their own."""


Identity = tuple[str, str, int, str]
"""Row, format, seed and sha256 of an image."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """In which shapes images are wanted.

    Attributes:
        kind: of file, where neither the campaign file nor a destination says so.
        native: as images were made, instead of in the pixels of their format.
        to: destinations by name; empty: those of the file, and without one the formats of the items.
        file: a delivery file.
        credential: signs every file.
    """

    kind: Kind = "jpg"
    native: bool = False
    to: tuple[str, ...] = ()
    file: Path | None = None
    credential: Credential | None = None

    def placements(self, items: Sequence[Item], fixed: Mapping[str, Any]) -> tuple[Placement, ...]:
        """The destinations, in the order of the file or as they were named.

        Raises:
            BadInput: one is not there, the file can't be used, or rows lack what texts name.
        """
        told = (
            {}
            if self.file is None
            else {one.destination.name: one for one in read_delivery_file(self.file, items, fixed)}
        )
        if told and self.to:
            strange = [name for name in self.to if name not in told]
            BadInput.gather(
                Problem(
                    f"option --to {name}", f"{self.file} has no such destination", suggest(name, told, "It has")
                )
                for name in strange
            )
        found = tuple(told.get(name) or preset(name) for name in dict.fromkeys(self.to or told))
        check_copy(found, [item for item in items if item.approval is not None], "campaign")
        return found


@dataclass(frozen=True, slots=True)
class Deliverable:
    """An approved item, and where its file is to lie, relative to the folder.

    Attributes:
        destination: its name; empty: in the pixels of the item's format.
    """

    name: str
    item: Item
    approval: Approval
    look: Look
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be delivered of a campaign.

    Attributes:
        asked: how many images its brief asks for; `approved`: how many of them are.
        destinations: by name; an empty one stands for the pixels of each item's format.
        refused: images that a destination can't take, together by reason; `cut`: which and where, those that a cut
            would spoil.
        decisions, head: number and hash of the last decision that was read.
        credential: what files are signed with.
    """

    campaign: str
    asked: int
    approved: frozenset[Identity]
    destinations: tuple[str, ...]
    deliverables: tuple[Deliverable, ...]
    refused: tuple[Problem, ...]
    decisions: int
    head: str
    credential: Credential | None = None
    cut: frozenset[tuple[str, Identity]] = frozenset()

    def stands_for(self, line: Line) -> bool:
        """Whether what was delivered earlier is approved still, and not to be made anew.

        So it is where its destination is not asked for now, and where it does not take the image any more.
        """
        here = _identity(line)
        elsewhere = line.destination not in self.destinations
        return (elsewhere and here in self.approved) or (line.destination, here) in self.cut

    def made(self, one: Deliverable) -> str:
        """All that decides a file's bytes beside the image."""
        signed = f", signed {self.credential.id}" if self.credential else ""
        return f"{FORM} {one.look.id}, {one.item.model}, {program()}{signed}"


def read_order(connection: Connection, campaign_id: int, name: str, wanted: Wanted) -> Order:
    """What is approved now, with the names of its files.

    Args:
        connection: one transaction, so that decisions and images fit together.
        campaign_id: of the campaign called `name`.
        name: the campaign's.
        wanted: in which shapes.

    Raises:
        BadInput: the chain of decisions is broken, so that nobody can say what was approved; names collide; or the
            delivery file can't be used.
    """
    _, problems = chain.verify(connection, campaign_id, name)
    if problems:
        raise BadInput(*problems)
    row = connection.execute(text("select text, source from campaign where id = :id"), {"id": campaign_id}).one()
    items = read_items(connection, name)
    names = file_names(name, items, recorded_naming(row.text, row.source), f".{wanted.kind}")
    decisions, head = chain.head(connection, campaign_id)
    placements = wanted.placements(items, recorded_values(row.text, row.source))
    named = list(zip(names, items, strict=True))
    deliverables: list[Deliverable] = []
    refused: list[Problem] = []
    cut: set[tuple[str, Identity]] = set()
    for placement in placements:
        taken, spoilt = _for_destination(named, placement)
        deliverables += taken
        refused += _too_much_cut(placement.destination, spoilt)
        cut |= {(placement.destination.name, _identity(item)) for item in spoilt}
    return Order(
        campaign=name,
        asked=len(items),
        approved=frozenset(_identity(item) for item in items if item.approval is not None),
        destinations=tuple(placement.destination.name for placement in placements) or ("",),
        deliverables=tuple(deliverables if placements else _in_their_formats(named, native=wanted.native)),
        refused=tuple(refused),
        decisions=decisions,
        head=head,
        credential=wanted.credential,
        cut=frozenset(cut),
    )


def _identity(one: Item | Line) -> Identity:
    return (one.row, one.format, one.seed, one.sha256 if isinstance(one, Item) else one.image)


def _in_their_formats(named: Sequence[tuple[str, Item]], *, native: bool) -> Iterator[Deliverable]:
    for name, item in named:
        if item.approval is not None:
            yield Deliverable(name, item, item.approval, Look(None if native else wanted_size(item.format)))


def _for_destination(
    named: Sequence[tuple[str, Item]], placement: Placement
) -> tuple[list[Deliverable], list[Item]]:
    """One file for each row, variant and seed: of the formats, the one that loses least, if it is approved.

    Beside them are those that a cut would spoil.
    """
    there = placement.destination
    nearest: dict[tuple[str, str, int], tuple[str, Item]] = {}
    for name, item in named:
        cell = (item.row, variant_key(item.variant), item.seed)
        if cell not in nearest or _loss(item.format, there) < _loss(nearest[cell][1].format, there):
            nearest[cell] = name, item
    taken, spoilt, stems = [], [], stems_of([name for name, _ in named])
    for name, item in nearest.values():
        if item.approval is None:
            continue
        if there.fit == "cut" and _kept((item.width, item.height), there.size) < LEAST_KEPT:
            spoilt.append(item)
            continue
        file = f"{there.name}/{stems[name]}.{there.kind}"
        taken.append(Deliverable(file, item, item.approval, _look(placement, item), there.name))
    return taken, spoilt


def _too_much_cut(there: Destination, items: Sequence[Item]) -> list[Problem]:
    size = "x".join(map(str, there.size))
    mend = f"Add a format nearer to {size}, or say fit: pad in a delivery file"
    what = f"would lose more than {1 - LEAST_KEPT:.0%} of their pixels there"
    times = Counter(item.format for item in items)
    return [
        Problem(f"destination {there.name}", f"{count:,} images of the format {name} {what}", mend)
        for name, count in times.items()
    ]


def stems_of(names: Sequence[str]) -> dict[str, str]:
    """Names without their endings; where that would make two alike, the ending stays as a word."""
    bare = {name: str(PurePosixPath(name).with_suffix("")) for name in names}
    times = Counter(stem.casefold() for stem in bare.values())
    return {
        name: stem if times[stem.casefold()] == 1 else f"{stem}-{PurePosixPath(name).suffix[1:]}"
        for name, stem in bare.items()
    }


def _look(placement: Placement, item: Item) -> Look:
    there = placement.destination
    return Look(
        size=there.size,
        fit=there.fit,
        ground=there.ground,
        white=there.white,
        safe=there.margins,
        most=1000 * there.most_kb,
        copy=placement.copy(item),
    )


def _loss(form: str, there: Destination) -> float:
    """How much of a format's pixels the destination's proportions leave out."""
    size = wanted_size(form)
    return 1.0 if size is None else 1 - _kept(size, there.size)


def _kept(made: tuple[int, int], wanted: tuple[int, int]) -> float:
    """The share of pixels that is left when the middle is cut to the wanted proportions."""
    width, height = crop_size(made, wanted)
    return width * height / (made[0] * made[1])
