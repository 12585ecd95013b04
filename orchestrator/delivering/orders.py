"""Delivering: what is to be delivered of a campaign: its approved items, each with the name of its file."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.errors import BadInput
from core.formats import wanted_size
from orchestrator.delivering.file_names import file_names, recorded_naming
from orchestrator.delivering.items import Approval, Item, read_items
from orchestrator.delivering.marking import program
from orchestrator.delivering.rendering import FORM
from orchestrator.reviewing import chain


@dataclass(frozen=True, slots=True)
class Deliverable:
    """An approved item, and where its file is to lie, relative to the folder."""

    name: str
    item: Item
    approval: Approval
    wanted: tuple[int, int] | None

    @property
    def made(self) -> str:
        """All that decides the file's bytes beside the image."""
        size = "native" if self.wanted is None else f"{self.wanted[0]}x{self.wanted[1]}"
        return f"{FORM} {size}, {self.item.model}, {program()}"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be delivered of a campaign.

    Attributes:
        asked: how many images its brief asks for.
        decisions, head: number and hash of the last decision that was read.
    """

    campaign: str
    asked: int
    deliverables: tuple[Deliverable, ...]
    decisions: int
    head: str


def read_order(connection: Connection, campaign_id: int, name: str, *, ending: str, native: bool) -> Order:
    """What is approved now, with the names of its files.

    Args:
        connection: one transaction, so that decisions and images fit together.
        campaign_id: of the campaign called `name`.
        name: the campaign's.
        ending: of files whose campaign does not name them: `.jpg`, `.png` or `.webp`.
        native: as images were made, instead of in the pixels of their format.

    Raises:
        BadInput: the chain of decisions is broken, so that nobody can say what was approved; or names collide.
    """
    _, problems = chain.verify(connection, campaign_id, name)
    if problems:
        raise BadInput(*problems)
    row = connection.execute(text("select text, source from campaign where id = :id"), {"id": campaign_id}).one()
    items = read_items(connection, name)
    names = file_names(name, items, recorded_naming(row.text, row.source), ending)
    decisions, head = chain.head(connection, campaign_id)
    chosen = tuple(
        Deliverable(file, item, item.approval, None if native else wanted_size(item.format))
        for file, item in zip(names, items, strict=True)
        if item.approval is not None
    )
    return Order(name, len(items), chosen, decisions, head)
