"""What a campaign waits for that nobody who runs has: a plugin that is gone, another version, weights, a worker.

Work that nobody can do stays queued: nothing is given up for want of a plugin, and it goes on by itself as
soon as a worker has what was pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.errors import DreamlineError
from core.registry import Registry
from core.settings import Settings
from orchestrator.working.desks import DESKS


@dataclass(frozen=True, slots=True)
class Lacking:
    """One thing that is missing: why, what to do, and how much waits for it."""

    pin: str
    why: str
    mend: str
    references: int
    images: int

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        waiting = f"{_count(self.references, 'reference')} and " if self.references else ""
        return f"{waiting}{_count(self.images, 'image')} wait: {self.why}. {self.mend}"


def read_lacking(connection: Connection, name: str, registry: Registry, settings: Settings) -> list[Lacking]:
    """What open work of a campaign asks for and no live worker has, as seen from this machine.

    A worker that is merely not started is named only where the campaign runs.
    """
    rows = connection.execute(text(_WANTED), {"name": name}).all()
    if all(row.served for row in rows):
        return []
    here = _able_here(registry, settings)
    found = []
    for row in rows:
        told = None if row.served else _explain(row, registry, settings, here)
        if told is not None:
            found.append(Lacking(row.pin, told[0], told[1], row.preparations, row.images))
    return found


def _explain(row: Any, registry: Registry, settings: Settings, here: frozenset[str]) -> tuple[str, str] | None:
    """Why nobody does it, and the mend."""
    if row.plugin is not None and row.pin not in here:
        return explain_plugin(row.plugin, row.kind, row.method, registry, settings)
    if row.state != "running":
        return None
    mend = "Start `dreamline worker` where it is (`dreamline models check`), or cancel the campaign"
    return f"no worker that runs has {row.pin}", mend


def explain_plugin(
    planned: str, kind: str, method: str, registry: Registry, settings: Settings
) -> tuple[str, str]:
    """Why what was planned with a plugin (`logo 1.0`) can't be prepared here, and the mend."""
    name, _, version = planned.rpartition(" ")
    infos = {info.name: info for info in registry.plugins()}
    again = "Plan without it: change the campaign's file and `dreamline run` it"
    if name in settings.block or (settings.plugins and name not in settings.plugins):
        return f"plugin {name!r} is left out by DREAMLINE_PLUGINS or DREAMLINE_BLOCK", f"Let it in. {again}"
    if name not in infos:
        return (
            f"plugin {name!r} (planned with {planned}) is not installed here",
            f"Install it again where workers run and start them anew: the work goes on by itself. {again}",
        )
    if infos[name].error:
        return f"plugin {name!r} can't be loaded: {infos[name].error}", f"Mend it or install it again. {again}"
    if infos[name].version != version:
        mend = f"`dreamline run` of its file plans with {infos[name].version}; or install {version} again"
        return f"planned with {planned}, here is {name} {infos[name].version}", mend
    mend = "`dreamline doctor` names weights that are missing; `dreamline run` of its file plans anew"
    return f"plugin {name!r} offers no method {method} for {kind} here as it was planned", mend


def _able_here(registry: Registry, settings: Settings) -> frozenset[str]:
    """The preparations that this machine could do, as plans pin them; none where a plugin breaks its kinds."""
    try:
        return frozenset(DESKS["cpu"].pins({}, registry, settings))
    except DreamlineError:
        return frozenset()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_short(lacking: Sequence[Lacking]) -> str:
    """All of it in one line."""
    return "; ".join(str(one).rstrip(".") for one in lacking)


_WANTED = """
with able as (
    select distinct jsonb_array_elements_text(pins) as pin from worker
    where stopped_at is null and seen_at > now() - interval '15 minutes'
), mine as (
    select distinct item.job_id, campaign.state from item join campaign on campaign.id = item.campaign_id
    where campaign.name = :name and not item.obsolete
), wanted as (
    select p.pin, min(mine.state) as state, min(p.spec->>'plugin') as plugin, min(p.spec->>'kind') as kind,
           min(p.spec->'method'->>'name') as method, count(distinct p.id) as preparations,
           count(distinct mine.job_id) as images
    from preparation p join job_reference r on r.preparation_id = p.id join mine on mine.job_id = r.job_id
    where p.state in ('queued', 'failed') group by p.pin
    union all
    select job.pin, min(mine.state), null, null, null, 0, count(*)
    from job join mine on mine.job_id = job.id
    where job.state in ('queued', 'failed') and job.waiting = 0 group by job.pin
)
select *, pin in (select pin from able) as served from wanted order by pin
"""
