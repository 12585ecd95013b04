"""Records: the states of campaigns and of work, and the only moves between them.

Every move in the program is a compare-and-set that names the state it comes from; `allowed` is what those
statements and the database's triggers of doubt (`doctor`) are held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Work(StrEnum):
    """A job (one image) or a preparation (one reference made ready)."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Campaign(StrEnum):
    DRAFT = "draft"
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Gate(StrEnum):
    """How an item's image stands against its campaign's gates."""

    NONE = "none"
    DUE = "due"
    READY = "ready"
    PASSED = "passed"
    LAST = "last"
    HELD = "held"


WORK_MOVES: Mapping[Work, frozenset[Work]] = {
    # claimed; cancelled; given up because a reference that it needs is dead
    Work.QUEUED: frozenset({Work.LEASED, Work.CANCELLED, Work.DEAD}),
    # finished; failed for now; failed for good; given back or rescued; cancelled
    Work.LEASED: frozenset({Work.DONE, Work.FAILED, Work.DEAD, Work.QUEUED, Work.CANCELLED}),
    # its time to be tried again has come; cancelled; a reference that it needs is dead
    Work.FAILED: frozenset({Work.QUEUED, Work.CANCELLED, Work.DEAD}),
    # its file is gone and has to be made again
    Work.DONE: frozenset({Work.QUEUED}),
    # tried again by a person
    Work.DEAD: frozenset({Work.QUEUED}),
    # wanted again
    Work.CANCELLED: frozenset({Work.QUEUED}),
}

CAMPAIGN_MOVES: Mapping[Campaign, frozenset[Campaign]] = {
    Campaign.DRAFT: frozenset({Campaign.PLANNED, Campaign.CANCELLED}),
    Campaign.PLANNED: frozenset({Campaign.PLANNED, Campaign.RUNNING, Campaign.CANCELLED}),
    Campaign.RUNNING: frozenset({Campaign.RUNNING, Campaign.PAUSED, Campaign.FINISHED, Campaign.CANCELLED}),
    Campaign.PAUSED: frozenset({Campaign.PAUSED, Campaign.RUNNING, Campaign.CANCELLED}),
    # planned again with other rows, or tried again
    Campaign.FINISHED: frozenset({Campaign.PLANNED, Campaign.RUNNING}),
    Campaign.CANCELLED: frozenset({Campaign.PLANNED, Campaign.RUNNING}),
}

ENDED = frozenset({Work.DONE, Work.DEAD, Work.CANCELLED})
"""Nothing more happens to work in these states by itself."""


def allowed(before: Work | Campaign, after: Work | Campaign) -> bool:
    """Whether one move leads from `before` to `after`."""
    if isinstance(before, Work) and isinstance(after, Work):
        return after in WORK_MOVES[before]
    if isinstance(before, Campaign) and isinstance(after, Campaign):
        return after in CAMPAIGN_MOVES[before]
    return False
