"""What planning again would change, now that a plugin is installed as it is: by campaign, version, kind, method.

A plugin decides images in two ways: it prepares references (version and method are part of their keys), and it
changes requests. Its scores decide no pixel. Five queries answer for all campaigns, however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.asking import pick_method
from core.errors import DreamlineError
from core.registry import Offer, PluginInfo, Registry
from core.requests import Method
from core.settings import Settings

AGAIN, KEPT, STUCK, UNKNOWN = "made again", "kept", "stuck", "asked again"


@dataclass(frozen=True, slots=True)
class Part:
    """Items of one campaign that a plugin takes part in one way: with one version, kind and method.

    Attributes:
        campaign: its name.
        planned: plugin and version (`logo 1.0`), or the fields of requests that it changed.
        kind: of the references; empty for changes of requests.
        method: name and version of the preparation's method.
        items: all of them; `made`, `open` and `failed` by their images, `approved` by people.
        verdict: what planning again does: `made again`, `kept`, `stuck` (the plugin is not here), `asked again`
            (it changes requests; what it answers is known only then).
        why: in words.
    """

    campaign: str
    planned: str
    kind: str
    method: str
    items: int
    made: int
    open: int
    failed: int
    approved: int
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Impact:
    """What a plugin takes part in.

    Attributes:
        plugin: its name.
        installed: the version that is compared with; None where the plugin is not here.
        parts: by campaign; an item that uses the plugin in two ways stands in two of them.
        again: distinct items that planning again would make anew; `approved` of them are.
        stuck: distinct open items that can't be made here as they were planned.
        scores: images that it scored, by campaign.
    """

    plugin: str
    installed: str | None
    parts: tuple[Part, ...]
    again: int
    approved: int
    stuck: int
    scores: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def read_impact(
    connection: Connection, plugin: str, registry: Registry, settings: Settings, version: str | None = None
) -> Impact:
    """Holds what is planned against the installed plugin, or against a `version` of it with the same methods."""
    info = next((one for one in registry.plugins() if one.name == plugin and not one.error), None)
    kinds = _kinds(registry, plugin)
    installed = version or (info.version if info is not None else None)
    values = {"plugin": plugin}
    parts = []
    preparations: dict[str, list[int]] = {AGAIN: [], STUCK: [], KEPT: []}
    for row in connection.execute(text(_PREPARED), values):
        verdict, why = _prepared_again(row, kinds, info, installed, settings)
        preparations[verdict] += row.preparations
        method = f"{row.method['name']}/{row.method['version']}"
        parts.append(_part(row, row.planned, row.kind, method, verdict, why))
    for row in connection.execute(text(_CHANGED), values):
        verdict = STUCK if info is None else UNKNOWN
        why = "without it requests stay as the file says" if info is None else "its answer is known only then"
        parts.append(_part(row, f"changed {row.fields}", "", "", verdict, why))
    scores = {row.campaign: row.images for row in connection.execute(text(_SCORED), values)}
    parts.sort(key=lambda part: (part.campaign, part.kind, part.planned, part.method))
    again = connection.execute(text(_TOTAL), {"preparations": preparations[AGAIN]}).one()
    stuck = connection.execute(text(_TOTAL), {"preparations": preparations[STUCK]}).one()
    return Impact(plugin, installed, tuple(parts), again.items, again.approved, stuck.open, scores)


def _kinds(registry: Registry, plugin: str) -> dict[str, Offer]:
    """The kinds that the plugin offers; none where plugins are at odds about kinds."""
    try:
        return {name: offer for name, offer in registry.kinds().items() if offer.plugin == plugin}
    except DreamlineError:
        return {}


def _prepared_again(
    row: Any, kinds: Mapping[str, Offer], info: PluginInfo | None, installed: str | None, settings: Settings
) -> tuple[str, str]:
    """Whether references of this row would be prepared anew, and why."""
    plugin, _, planned = row.planned.rpartition(" ")
    if info is None and installed is None:
        return STUCK, f"plugin {plugin!r} is not installed: what is open waits for it, what is made stays"
    if installed != planned:
        return AGAIN, f"planned with {planned}, {installed} would prepare it"
    if row.kind not in kinds:
        return (
            (STUCK, f"it offers no kind {row.kind!r} any more") if info is not None else (KEPT, "the same version")
        )
    condition = kinds[row.kind].condition
    here = condition.by_mask if row.masked else pick_method(condition, row.wanted, settings)
    before = Method.from_dict(row.method)
    if here is None:
        return STUCK, f"it has no method {row.wanted or before.name} on this machine"
    if (here.name, here.version) != (before.name, before.version):
        return AGAIN, f"prepared by {before.name}/{before.version}, here {here.name}/{here.version} is chosen"
    if dict(here.weights) != dict(before.weights):
        return AGAIN, f"the weights of {here.name} are others"
    return KEPT, "the same version and method"


def _part(row: Any, planned: str, kind: str, method: str, verdict: str, why: str) -> Part:
    counts = (row.items, row.made, row.open, row.failed, row.approved)
    return Part(row.campaign, planned, kind, method, *counts, verdict, why)


def summary(impact: Impact) -> Sequence[str]:
    """What follows from it, in sentences."""
    lines = []
    if not impact.parts:
        lines.append(f"No campaign was planned with plugin {impact.plugin!r}.")
    elif impact.again:
        lost = f"; {impact.approved:,} of them are approved and would be decided anew" if impact.approved else ""
        lines.append(f"Planning again (`dreamline run FILE`) would make {impact.again:,} items anew{lost}.")
    elif not impact.stuck:
        lines.append("Planning again would prepare every reference as before.")
    if impact.stuck:
        lines.append(
            f"{impact.stuck:,} open items wait for what is not here: install it again, or plan files without it."
        )
    if impact.scores:
        scored = ", ".join(f"{images:,} in {campaign}" for campaign, images in impact.scores.items())
        lines.append(f"Images it scored: {scored}. Scores decide no pixel, and images are scored once.")
    return lines


_COUNTS = """
    count(*) as items,
    count(*) filter (where state = 'done') as made,
    count(*) filter (where state in ('queued', 'leased', 'failed')) as open,
    count(*) filter (where state = 'dead') as failed,
    count(*) filter (where verdict = 'approved') as approved
"""

# An item that uses two references of one kind is one item: it is counted once for each way of preparing.
_PREPARED = f"""
with used as materialized (
    select id, spec->>'plugin' as planned, spec->>'kind' as kind, spec->'method' as method,
           spec->'options'->>'method' as wanted, spec ? 'mask' as masked
    from preparation where starts_with(spec->>'plugin', :plugin || ' ')
), way as materialized (
    select row_number() over () as number, planned, kind, method, wanted, masked, array_agg(id) as preparations
    from used group by planned, kind, method, wanted, masked
), touched as (
    select distinct way.number, i.campaign_id, i.id, j.state, i.verdict
    from way cross join unnest(way.preparations) as used (id) join job_reference r on r.preparation_id = used.id
    join job j on j.id = r.job_id join item i on i.job_id = j.id where not i.obsolete
), counted as (
    select number, campaign_id, {_COUNTS} from touched group by number, campaign_id
)
select c.name as campaign, way.planned, way.kind, way.method, way.wanted, way.masked, way.preparations,
       counted.items, counted.made, counted.open, counted.failed, counted.approved
from counted join way using (number) join campaign c on c.id = counted.campaign_id
"""  # noqa: S608 - texts of ours

_CHANGED = f"""
with changed as materialized (
    select id, state, (select string_agg(key, ', ' order by key) from jsonb_each_text(pinned->'changed_by')
                       where value = :plugin) as fields
    from job where pinned->'changed_by' <> '{{}}'
)
select campaign, fields, {_COUNTS} from (
    select c.name as campaign, changed.fields, changed.state, i.verdict
    from changed join item i on i.job_id = changed.id join campaign c on c.id = i.campaign_id
    where changed.fields is not null and not i.obsolete
) touched group by campaign, fields
"""  # noqa: S608 - texts of ours

_TOTAL = f"""
select {_COUNTS} from (
    select distinct i.id, j.state, i.verdict
    from job_reference r join job j on j.id = r.job_id join item i on i.job_id = j.id
    where r.preparation_id = any(:preparations) and not i.obsolete
) touched
"""  # noqa: S608 - texts of ours

_SCORED = """
select c.name as campaign, count(distinct s.job_id) as images
from score s join item i on i.job_id = s.job_id join campaign c on c.id = i.campaign_id
where s.plugin = :plugin and not i.obsolete group by 1 order by 1
"""
