"""Which campaigns ask for a piece of work, so that what is said about it names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text


def read_askers(connection: Connection, table: str, ids: Sequence[int]) -> dict[int, list[str]]:
    """Names of campaigns by id of a `job` or a `preparation`; at most a few for each.

    A preparation may serve a hundred thousand images: the campaigns of its first image stand for all of them.
    """
    rows = connection.execute(text(_ASKERS[table]), {"ids": list(ids)})
    return {row.id: list(row.names) for row in rows}


_NAMES = """
select array_agg(distinct campaign.name) as names from (
    select campaign_id from item where job_id = {job} and not obsolete limit 8
) asking join campaign on campaign.id = asking.campaign_id
"""

_ASKERS: Mapping[str, str] = {
    "job": f"""
        select wanted.id, asked.names from unnest(cast(:ids as bigint[])) as wanted (id)
        cross join lateral ({_NAMES.format(job="wanted.id")}) asked where asked.names is not null
    """,  # noqa: S608 - constants of ours
    "preparation": f"""
        select wanted.id, asked.names from unnest(cast(:ids as bigint[])) as wanted (id)
        cross join lateral (
            select job_id from job_reference where preparation_id = wanted.id order by job_id limit 1
        ) first
        cross join lateral ({_NAMES.format(job="first.job_id")}) asked where asked.names is not null
    """,  # noqa: S608 - constants of ours
}
