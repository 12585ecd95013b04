"""Reviewing: who may do what. Five roles, asked for in every verb and every route.

A person is a row of `member`; on one's own machine there is nobody else, and whoever sits there may do all.
Rights are read from the database at each call, so that what is taken away is gone at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, text

from core.errors import BadInput, DreamlineError


class Forbidden(DreamlineError):
    """This person may not do that; the message says which right is missing."""


class Right(StrEnum):
    """What can be allowed."""

    SEE = "see"
    DECIDE = "decide"
    CONFIRM = "confirm"
    STEER = "steer"
    MANAGE = "manage"


class Role(StrEnum):
    VIEWER = "viewer"
    REVIEWER = "reviewer"
    APPROVER = "approver"
    PRODUCER = "producer"
    ADMIN = "admin"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.SEE}),
    Role.REVIEWER: frozenset({Right.SEE, Right.DECIDE}),
    Role.APPROVER: frozenset({Right.SEE, Right.DECIDE, Right.CONFIRM}),
    # Whoever orders images does not approve them.
    Role.PRODUCER: frozenset({Right.SEE, Right.STEER}),
    Role.ADMIN: frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person with a role. `campaigns` are the names of those seen; None: all."""

    name: str
    role: Role
    campaigns: frozenset[str] | None = None

    def may(self, right: Right, campaign: str | None = None) -> bool:
        """Whether the role has the right, and the campaign (if one is meant) is among those seen."""
        seen = campaign is None or self.campaigns is None or campaign in self.campaigns
        return right in RIGHTS[self.role] and seen

    def require(self, right: Right, campaign: str | None = None) -> None:
        """Lets those pass who may.

        Raises:
            Forbidden: the person may not.
        """
        if right not in RIGHTS[self.role]:
            able = ", ".join(role for role, rights in RIGHTS.items() if right in rights)
            raise Forbidden(f"{self.name} is {self.role} and may not {right}; an admin can make them {able}")
        if not self.may(right, campaign):
            raise Forbidden(f"{self.name} may not see the campaign {campaign!r}; an admin can change that")


def find_member(connection: Connection, name: str) -> Actor | None:
    """The member called `name`, or None."""
    row = connection.execute(
        text("select name, role, campaigns from member where name = :name"), {"name": name.casefold()}
    ).one_or_none()
    return None if row is None else _actor(row)


def list_members(connection: Connection) -> list[Actor]:
    """All members by name."""
    return [
        _actor(row) for row in connection.execute(text("select name, role, campaigns from member order by name"))
    ]


def set_member(connection: Connection, name: str, role: str, campaigns: Sequence[str] | None = None) -> Actor:
    """Adds a person or changes what they may do.

    Raises:
        BadInput: there is no such role, or no such campaign.
    """
    if role not in set(Role):
        raise BadInput.at("role", f"there is none called {role!r}", f"Roles: {', '.join(Role)}")
    known = set(connection.execute(text("select name from campaign")).scalars())
    unknown = sorted(set(campaigns or ()) - known)
    if unknown:
        raise BadInput.at("campaign", f"there is none called {unknown[0]!r}", "See `dreamline campaign list`")
    connection.execute(
        text("""
        insert into member (name, role, campaigns) values (:name, :role, cast(:campaigns as jsonb))
        on conflict (name) do update set role = excluded.role, campaigns = excluded.campaigns
        """),
        {
            "name": name.casefold(),
            "role": role,
            "campaigns": None if campaigns is None else json.dumps(sorted(campaigns)),
        },
    )
    return Actor(name.casefold(), Role(role), None if campaigns is None else frozenset(campaigns))


def remove_member(connection: Connection, name: str) -> None:
    """Takes away all rights; what they decided stays.

    Raises:
        BadInput: nobody is called that.
    """
    gone = connection.execute(text("delete from member where name = :name"), {"name": name.casefold()})
    if not gone.rowcount:
        raise BadInput.at("member", f"nobody is called {name!r}", "See `dreamline people list`")


def _actor(row: Row[Any]) -> Actor:
    return Actor(row.name, Role(row.role), None if row.campaigns is None else frozenset(row.campaigns))
