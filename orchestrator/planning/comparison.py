"""Planning: a plan held against what is recorded, item by item, before anything is spent. Reads only.

An item of the plan is *new*, *changed* (it would get another image than the one on record), or the *same*; an item
on record that the plan no longer has is *obsolete*. Whatever an item is, its image may exist already.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, text

from orchestrator.planning.changes import Change, list_changes
from orchestrator.planning.plan import Plan, PlannedItem
from orchestrator.planning.sample import Cell, cell_of
from orchestrator.records.states import Work

What: TypeAlias = Literal["new", "changed", "same", "obsolete"]

AT_ONCE = 5_000
"""Requests that are held in memory to be compared."""

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """One item: what becomes of it, how its image stands, and why it changes.

    `image` is `to make`, `made`, `under way` (another start has asked for it) or `failed`; of an obsolete item it
    says what there is. `verdict` is what people decided about the image on record.
    """

    cell: Cell
    what: What
    image: str
    verdict: str = "open"
    changes: tuple[Change, ...] = ()


@dataclass(slots=True)
class Cause:
    """What many items have in common that change: how many, in how many rows, and a few of them."""

    what: str
    items: int = 0
    rows: set[str] = field(default_factory=set)
    examples: list[tuple[str, Change]] = field(default_factory=list)

    def add(self, row: str, change: Change) -> None:
        """Counts one item of a row."""
        self.items += 1
        if row not in self.rows and len(self.examples) < EXAMPLES:
            self.examples.append((row, change))
        self.rows.add(row)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan against the records.

    Attributes:
        items: all of the plan, then the obsolete ones.
        recorded: whether the campaign is on record at all.
        sources: images that other campaigns made, by the campaign; one campaign an image.
    """

    items: tuple[Compared, ...]
    recorded: bool
    sources: Mapping[str, int]

    def count(self, what: What, image: str = "") -> int:
        """How many items of one sort."""
        return sum(one.what == what and image in ("", one.image) for one in self.items)

    def lost(self) -> int:
        """Approved items whose image would be another, or which are no longer asked for."""
        return sum(one.verdict == "approved" and one.what in ("changed", "obsolete") for one in self.items)

    def causes(self) -> list[Cause]:
        """Why items change, most frequent first; an item may have several causes."""
        found: dict[str, Cause] = {}
        for one in self.items:
            for change in one.changes:
                found.setdefault(change.what, Cause(change.what)).add(one.cell[0], change)
        return sorted(found.values(), key=lambda cause: (-cause.items, cause.what))

    def rows(self) -> dict[str, Counter[What]]:
        """How many items of each sort a row has, by its key."""
        found: dict[str, Counter[What]] = {}
        for one in self.items:
            found.setdefault(one.cell[0], Counter())[one.what] += 1
        return found


@dataclass(frozen=True, slots=True)
class _Recorded:
    key: str
    job: int
    verdict: str
    obsolete: bool
    state: str


def compare(connection: Connection | None, plan: Plan) -> Comparison:
    """Holds a plan against what is recorded; without a connection (no database yet) all of it is new."""
    if connection is None:
        return Comparison(tuple(Compared(cell_of(item), "new", "to make") for item in plan.items), False, {})
    before = _read_items(connection, plan.brief.campaign)
    states = read_states(connection, "job", list(plan.jobs))
    compared: list[Compared] = []
    changed: list[tuple[int, int, PlannedItem]] = []
    for item in plan.items:
        known = before.pop(cell_of(item), None)
        what: What = "new"
        if known is not None and not known.obsolete:
            what = "same" if known.key == item.job else "changed"
            if what == "changed":
                changed.append((len(compared), known.job, item))
        verdict = known.verdict if known is not None and what != "new" else "open"
        compared.append(Compared(cell_of(item), what, _image(states.get(item.job)), verdict))
    for place, changes in _explain(connection, plan, changed):
        compared[place] = replaced(compared[place], changes=changes)
    for cell, known in before.items():
        if not known.obsolete:
            compared.append(Compared(cell, "obsolete", _image(known.state), known.verdict))
    fresh = (item.job for item, one in zip(plan.items, compared, strict=False) if one.what != "same")
    made = sorted({key for key in fresh if states.get(key) == Work.DONE})
    return Comparison(tuple(compared), _is_recorded(connection, plan), _sources(connection, plan, made))


def read_images(connection: Connection | None, jobs: Sequence[str]) -> dict[str, str]:
    """How the image of each job stands; without a connection (no database yet) all are to make."""
    states = read_states(connection, "job", jobs) if connection is not None else {}
    return {key: _image(states.get(key)) for key in jobs}


def read_states(connection: Connection, table: str, keys: Sequence[str]) -> dict[str, str]:
    """States of jobs or preparations by their keys; those that there are."""
    found: dict[str, str] = {}
    query = text(f"select key, state from {table} where key = any(:keys)")  # noqa: S608 - a name of ours
    for some in _in_parts(keys, 20_000):
        rows = connection.execute(query, {"keys": list(some)})
        found.update((row.key, row.state) for row in rows)
    return found


def _image(state: str | None) -> str:
    images = {Work.DONE: "made", Work.DEAD: "failed", None: "to make", Work.CANCELLED: "to make"}
    return images.get(None if state is None else Work(state), "under way")


def _read_items(connection: Connection, campaign: str) -> dict[Cell, _Recorded]:
    """The items on record, each with the job that the brief asked for, even where an attempt took its place."""
    rows = connection.execute(text(_ITEMS), {"campaign": campaign})
    return {
        (row.row_key, row.variant_key, row.seed, row.format): _Recorded(
            row.key, row.job, row.verdict, row.obsolete, row.state
        )
        for row in rows
    }


def _explain(
    connection: Connection, plan: Plan, changed: Sequence[tuple[int, int, PlannedItem]]
) -> Iterator[tuple[int, tuple[Change, ...]]]:
    """Why each changes: the request on record beside the planned one, some thousand at a time."""
    for some in _in_parts(changed, AT_ONCE):
        ids = sorted({job for _, job, _ in some})
        rows = connection.execute(
            text("select id, request, pinned from job where id = any(:ids)"), {"ids": ids}
        ).all()
        before = {row.id: row for row in rows}
        for place, job, item in some:
            after = plan.jobs[item.job]
            request, pinned = json.loads(after.request), json.loads(after.pinned)
            yield place, tuple(list_changes(before[job].request, before[job].pinned, request, pinned))


def _sources(connection: Connection, plan: Plan, keys: Sequence[str]) -> dict[str, int]:
    """Which campaigns asked for these images, this one last; each image counts for one of them."""
    found: Counter[str] = Counter()
    for some in _in_parts(keys, 20_000):
        rows = connection.execute(text(_SOURCES), {"keys": list(some), "campaign": plan.brief.campaign})
        found.update({row.name: row.images for row in rows})
    return dict(found.most_common())


def _is_recorded(connection: Connection, plan: Plan) -> bool:
    query = text("select exists (select 1 from campaign where name = :name)")
    return bool(connection.execute(query, {"name": plan.brief.campaign}).scalar_one())


def _in_parts(values: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


_ITEMS = """
select item.row_key, item.variant_key, item.seed, item.format, item.verdict, item.obsolete, job.id as job,
       job.key, job.state
from item join job on job.id = coalesce(item.brief_job_id, item.job_id)
where item.campaign_id = (select id from campaign where name = :campaign)
"""

_SOURCES = """
select name, count(*) as images from (
    select distinct on (job.id) campaign.name
    from job join item on item.job_id = job.id join campaign on campaign.id = item.campaign_id
    where job.key = any(:keys) order by job.id, campaign.name = :campaign, campaign.id
) made group by name
"""
