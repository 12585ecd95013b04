"""Campaigns drawn for a terminal: one whole, or all in a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.planning.stops import in_time
from orchestrator.telling import clock_range, tell_pilot

if TYPE_CHECKING:
    from orchestrator.portrait import Portrait
    from orchestrator.progress import Progress


def draw_portrait(told: Portrait) -> RenderableType:
    """One campaign, line by line."""
    return Group(*(Text.from_markup(line) for line in _lines(told)))


def _lines(told: Portrait) -> Iterable[str]:
    one = told.progress
    owner = f" · of {escape(one.owner)}" if one.owner else ""
    priority = f" · priority {one.priority}" if one.priority else ""
    yield (
        f"[bold]{escape(one.name)}[/] · {one.state}{priority} · model {escape(one.model)}{owner} · "
        f"{escape(one.source)}"
    )
    if one.state == "paused" and one.reason:
        yield f"[yellow]paused: {escape(one.reason)}[/] ({_going_on(one)})"
    counts = ", ".join(f"{count:,} {state}" for state, count in one.jobs.items() if count)
    yield f"{one.items:,} items, {sum(one.jobs.values()):,} images: {counts or 'none'}"
    if one.state == "running":
        yield f"{one.ended:,} of {one.total:,} have ended{_pace(one)}"
    if one.pilot and one.later and one.paused_by != "pilot":
        yield f"{one.later:,} images wait until the pilot of {one.pilot:,} was made and reviewed"
    if told.spent.images:
        cost = f", {told.spent.cost:,.2f} {told.spent.currency}" if told.spent.cost is not None else ""
        yield f"made for it: {told.spent.images:,} images in {in_time(told.spent.seconds)}{escape(cost)}"
    if one.stop:
        rules = ", ".join(f"{name} {rule}" for name, rule in one.stop.items())
        yield f"stop rules: {escape(rules)}"
    prepared = ", ".join(f"{count:,} {state}" for state, count in one.preparations.items() if count)
    yield f"references: {prepared or 'none'}"
    if one.gates:
        judged = ", ".join(f"{count:,} {gate}" for gate, count in one.gates.items())
        yield f"gates: {judged} (`dreamline campaign gates {escape(one.name)}`)"
    if told.pilot is not None:
        yield from map(escape, tell_pilot(told.pilot, told.rest))
    for failure in told.failures:
        cause = escape(f"({failure.kind}; e.g. {failure.example}): {failure.message}")
        yield f"[red]{failure.images:,} failed[/] {cause}"
    for lack in told.lacking:
        yield f"[yellow]{escape(str(lack))}[/]"


def _going_on(one: Progress) -> str:
    resume = f"`dreamline campaign resume {escape(one.name)}`"
    if one.paused_by == "rule":
        return f"change the rule in its file and run that, or {resume} --anyway"
    return f"{resume} or `dreamline run FILE`"


def _pace(one: Progress) -> str:
    if one.rate is None:
        return ""
    left = f", {clock_range(one.left)} left" if one.left is not None and one.ended < one.total else ""
    return f", {one.rate:,.1f} images a minute{left}"


def draw_list(found: Sequence[Progress]) -> RenderableType:
    """All campaigns in a table."""
    if not found:
        return Text("No campaigns yet. `dreamline demo` makes a first one.")
    columns = ("campaign", "owner", "state", "model", "images", "done", "failed", "left", "changed")
    table = Table(*columns, box=None, header_style="bold")
    for one in found:
        running = one.state == "running" and one.left is not None and one.ended < one.total
        table.add_row(
            escape(one.name),
            escape(one.owner),
            one.state + (f" ({one.paused_by})" if one.paused_by in ("pilot", "rule") else ""),
            escape(one.model),
            f"{one.total:,}",
            f"{one.scope['done']:,}",
            f"{one.scope['dead']:,}",
            clock_range(one.left) if running and one.left is not None else "",
            one.changed_at.astimezone().strftime("%Y-%m-%d %H:%M"),
        )
    return table
