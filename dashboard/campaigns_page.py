"""Dashboard: the campaigns: a list with progress and approval, and one campaign live."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from core.errors import DreamlineError
from dashboard import queries, visit
from dashboard.archive import draw_download
from dashboard.office import office
from dashboard.queries import Overview
from orchestrator import campaigns
from orchestrator.pilots import read_pilot
from orchestrator.progress import Failure, Progress, read_failures, read_progress
from orchestrator.reviewing.decisions import set_two_step
from orchestrator.reviewing.people import Actor, Right
from orchestrator.running import wake_all
from orchestrator.telling import tell_pilot

AT_ONCE = 30
"""Campaigns on one page of the list."""

STATES = {
    "draft": (":material/edit_note:", "gray"),
    "planned": (":material/schedule:", "gray"),
    "running": (":material/play_circle:", "blue"),
    "paused": (":material/pause_circle:", "orange"),
    "finished": (":material/task_alt:", "green"),
    "cancelled": (":material/block:", "gray"),
}


def draw() -> None:
    """The list, or with `?campaign=` one campaign."""
    actor = visit.arrive()
    name = st.query_params.get("campaign")
    if name and actor.may(Right.SEE, name):
        _draw_one(actor, name)
    else:
        if name:
            st.warning("You may not see this campaign.", icon=":material/lock:")
        _draw_list(actor)


def _draw_list(actor: Actor) -> None:
    with office().database.begin() as connection:
        found = [one for one in queries.read_overviews(connection) if actor.may(Right.SEE, one.name)]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title("Campaigns", width="content")
        visit.link("new", "New campaign", ":material/add:")
    if not found:
        st.info(
            "No campaigns yet. Make one from a campaign file, or try the example that comes along: both under "
            "**New campaign**.",
            icon=":material/grid_view:",
        )
        return
    pages = -(-len(found) // AT_ONCE)
    number = st.number_input("Page", 1, pages, key="page", bind="query-params") if pages > 1 else 1
    with st.container(key="cards"):
        for one in found[(number - 1) * AT_ONCE : number * AT_ONCE]:
            _draw_card(actor, one)


def _draw_card(actor: Actor, one: Overview) -> None:
    with st.container(border=True):
        cover, words, progress, actions = st.columns([2.3, 2.6, 3.4, 1.7], vertical_alignment="center")
        with cover:
            visit.strip(actor, one.name, [(sha, f"Image of {one.name}") for sha in one.cover], 60)
        with words:
            st.markdown(f"**{visit.escaped(one.name)}**")
            _draw_state(one.state)
            st.caption(f"{visit.escaped(one.model)} · {one.changed_at.astimezone():%-d %b %Y, %H:%M}")
        with progress:
            made = one.images / one.items if one.items else 0.0
            st.progress(made, text=f"{one.images:,} of {one.items:,} made" + _failed(one.failed))
            seen = one.decided / one.images if one.images else 0.0
            st.progress(min(1.0, seen), text=f"{one.decided:,} reviewed{_approval(one)}")
        with actions:
            visit.link("review", _to_review(one), ":material/rate_review:", wide=True, campaign=one.name)
            visit.link("campaigns", "Details", ":material/monitoring:", wide=True, campaign=one.name)


def _to_review(one: Overview) -> str:
    waiting = one.verdicts["open"]
    return f"Review {waiting:,}" if waiting else "Review"


def _failed(count: int) -> str:
    return f" · {count:,} failed" if count else ""


def _approval(one: Overview) -> str:
    return f" · {one.approval:.0%} approved" if one.approval is not None else ""


def _draw_state(state: str) -> None:
    icon, colour = STATES[state]
    st.badge(state.capitalize(), icon=icon, color=colour)


def _draw_one(actor: Actor, name: str) -> None:
    with office().database.begin() as connection:
        found = queries.read_overviews(connection, name)
    if not found:
        st.warning("There is no such campaign.", icon=":material/search_off:")
        return
    one = found[0]
    visit.link("campaigns", "All campaigns", ":material/arrow_back:")
    st.title(visit.escaped(one.name))
    st.caption(f"{visit.escaped(one.model)} · from {visit.escaped(Path(one.source).name)}")
    if one.state == "paused" and one.reason:
        st.warning(f"Paused: {visit.escaped(one.reason)}.", icon=":material/pause_circle:")
    _draw_verbs(actor, one)
    _draw_live(name)
    if actor.may(Right.MANAGE, name):
        _draw_settings(actor, one)


def _draw_verbs(actor: Actor, one: Overview) -> None:
    """Buttons for what this campaign can become, and for whom."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if actor.may(Right.STEER, one.name):
            for label, icon, states, verb in _VERBS:
                told = _LABELS.get((label, one.paused_by), label)
                if one.state in states and st.button(told, icon=icon, key=f"verb {label}"):
                    _do(actor, one.name, verb)
            if one.paused_by == "rule" and st.button(
                "Resume anyway", icon=":material/fast_forward:", help="The rule counts anew from now on"
            ):
                _do(actor, one.name, partial(campaigns.resume, anyway=True))
        visit.link("review", _to_review(one), ":material/rate_review:", campaign=one.name)
        visit.link("compare", "Compare with other tools", ":material/balance:", campaign=one.name)
        draw_download(actor, one)


def _do(actor: Actor, name: str, verb: Callable[..., object]) -> None:
    refused = _try(actor, name, verb)
    if refused is not None:
        visit.show_problems(refused)
        return
    st.rerun()


def _try(actor: Actor, name: str, verb: Callable[..., object]) -> DreamlineError | None:
    """Does what a button says; returns why that was refused, or nothing."""
    here = office()
    try:
        actor.require(Right.STEER, name)
        verb(here.database, here.registry, name)
        wake_all(here.settings)
    except DreamlineError as error:
        return error
    return None


_LABELS = {("Resume", "pilot"): "Make the rest"}
"""What a verb is called after what paused a campaign."""

_VERBS = (
    ("Start", ":material/play_arrow:", ("planned",), campaigns.start),
    ("Pause", ":material/pause:", ("running",), campaigns.pause),
    ("Resume", ":material/play_arrow:", ("paused",), campaigns.resume),
    ("Cancel", ":material/stop:", ("running", "paused", "planned"), campaigns.cancel),
)


@st.fragment(run_every=2)  # type: ignore[untyped-decorator, unused-ignore]
def _draw_live(name: str) -> None:
    """What changes while the campaign runs; read every two seconds, and by whom is asked anew each time."""
    actor = visit.arrive()
    if not actor.may(Right.SEE, name):
        st.warning("You may not see this campaign any more.", icon=":material/lock:")
        return
    with office().database.begin() as connection:
        (one,) = read_progress(connection, name)
        (overview,) = queries.read_overviews(connection, name)
        recent = queries.read_recent(connection, name)
        failures = read_failures(connection, name) if one.jobs["dead"] else []
        pilot = read_pilot(connection, one.id) if one.pilot else None
        foretold = tell_pilot(pilot, None) if pilot is not None else []
    if one.state != st.session_state.setdefault(f"state {name}", one.state):
        st.session_state[f"state {name}"] = one.state
        st.rerun()
    _draw_numbers(one, overview)
    for line in foretold:
        st.caption(visit.escaped(line))
    st.subheader("Last pictures")
    if recent:
        visit.strip(actor, name, [(one.sha256, f"{one.row}, {one.format}") for one in recent], 150, captions=True)
    else:
        st.caption("None yet.")
    if failures:
        _draw_failures(actor, one, failures)


def _draw_numbers(one: Progress, overview: Overview) -> None:
    _draw_state(one.state)
    share = one.ended / one.total if one.total else 0.0
    st.progress(share, text=f"{one.scope['done']:,} of {one.total:,} images made{_later(one)}")
    columns = st.columns(5)
    waiting = sum(one.scope[state] for state in ("queued", "leased", "failed"))
    prepared = sum(one.preparations[state] for state in ("queued", "leased", "failed"))
    columns[0].metric("Waiting", f"{waiting:,}", help=f"{prepared:,} references are still to be prepared")
    columns[1].metric("Images a minute", f"{one.rate:.1f}" if one.rate else "-")
    columns[2].metric("Time left", _left(one))
    columns[3].metric("Failed", f"{one.jobs['dead']:,}")
    approval = overview.approval
    columns[4].metric(
        "Approved", f"{approval:.0%}" if approval is not None else "-", help=f"{overview.decided:,} were reviewed"
    )


def _later(one: Progress) -> str:
    return f"; {one.later:,} wait until the pilot was reviewed" if one.later else ""


def _left(one: Progress) -> str:
    if one.left is None or one.state != "running":
        return "-"
    low, high = one.left
    return f"{_minutes(low)} to {_minutes(high)}" if high >= 90 else "about a minute"


def _minutes(seconds: float) -> str:
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h"


def _draw_failures(actor: Actor, one: Progress, failures: list[Failure]) -> None:
    st.subheader("Why some failed")
    st.dataframe(
        [
            {"Images": one.images, "Cause": one.message, "Kind": one.kind, "For example": one.example}
            for one in failures
        ],
        hide_index=True,
    )
    if actor.may(Right.STEER, one.name):
        _draw_retry(actor, one)


def _draw_retry(actor: Actor, one: Progress) -> None:
    """Another round for what failed; why that was refused stays to be read until the campaign changes."""
    if st.button("Retry what failed", icon=":material/replay:"):
        _retry(actor, one)
    changed_at, refused = st.session_state.get(_refusal(one), (None, None))
    if refused is None or changed_at != one.changed_at:
        return
    if not isinstance(refused, campaigns.NoRoom):
        visit.show_problems(refused)
        return
    (why,) = refused.problems
    st.warning(visit.escaped(f"Nothing was retried: {why.where} {why.what}."), icon=":material/front_hand:")
    st.caption(_tell_anyway(one))
    if st.button("Retry anyway", icon=":material/fast_forward:"):
        _retry(actor, one, anyway=True)


def _retry(actor: Actor, one: Progress, *, anyway: bool = False) -> None:
    refused = _try(actor, one.name, partial(campaigns.retry, anyway=anyway))
    st.session_state[_refusal(one)] = (one.changed_at, refused)
    st.rerun()


def _refusal(one: Progress) -> str:
    return f"refused {one.name}"


def _tell_anyway(one: Progress) -> str:
    """What a retry past the stop rules does, and what it costs."""
    failed, waiting = one.jobs["dead"], one.total - one.scope["done"] - one.scope["dead"]
    tried = f"{failed:,} {'image' if failed == 1 else 'images'} again"
    others = f", and goes on with the {waiting:,} not made yet" if waiting else ""
    return (
        f"**Retry anyway** goes past the stop rules. It tries {tried}{others}. From now on the rules count as if "
        "nothing had been spent, failed or rejected before. To keep to them, change the limit in the campaign's "
        "file and upload it under **New campaign**."
    )


def _draw_settings(actor: Actor, one: Overview) -> None:
    with st.expander("Settings"):
        wanted = st.toggle(
            "An approval needs a second person",
            one.two_step,
            help="The first approval is a proposal; an approver, who did not propose it, makes it final.",
        )
        if wanted != one.two_step:
            set_two_step(office().database, actor, one.name, wanted)
            st.rerun()
