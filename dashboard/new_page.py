"""Dashboard: a new campaign: a file, its errors in place or its plan, and the button that starts it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import streamlit as st

from core.errors import DreamlineError
from dashboard import visit
from dashboard.office import Office, office
from orchestrator import campaigns
from orchestrator.cli.demo import DEMO, example
from orchestrator.planning.expand import read_brief
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.prospect import Prospect, look_ahead
from orchestrator.records.models import pin_files, recorded_files
from orchestrator.reviewing.people import Actor, Right
from orchestrator.running import wake_all
from orchestrator.telling import tell_estimate
from orchestrator.uploads import Uploaded, bounds, unpack


def draw() -> None:
    """Upload or example, then errors or plan, then start."""
    actor = visit.arrive()
    st.title("New campaign")
    if not actor.may(Right.STEER):
        st.warning("A producer or an admin makes campaigns.", icon=":material/lock:")
        return
    file = _draw_source()
    if file is not None:
        _draw_plan(actor, file)


def _draw_source() -> Path | None:
    """The campaign file to plan, once there is one."""
    given = st.file_uploader(
        "Campaign file with its table and pictures, or a ZIP of all of it",
        accept_multiple_files=True,
        type=["zip", "yaml", "yml", "json", "csv", "tsv", "xlsx", "png", "jpg", "jpeg", "webp", "heic", "tif"],
        help="docs/campaign-file.md says what a campaign file holds",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Nothing at hand? Take the example that comes along:", width="content")
        if st.button(DEMO, icon=":material/inventory_2:"):
            st.session_state["new_example"] = DEMO
    if given:
        st.session_state.pop("new_example", None)
        try:
            return unpack(office().settings, (Uploaded(one.name, one.getvalue()) for one in given))
        except DreamlineError as error:
            visit.show_problems(error)
            return None
    chosen = st.session_state.get("new_example")
    return example(chosen) / "campaign.yaml" if chosen else None


def _draw_plan(actor: Actor, file: Path) -> None:
    here = office()
    try:
        with st.spinner("Reading and planning…"):
            prospect = _plan(actor, here, file)
    except DreamlineError as error:
        visit.show_problems(error, file.parent)
        return
    plan, outlook = prospect.plan, prospect.outlook
    brief = plan.brief
    st.subheader(f"Plan of {visit.escaped(brief.campaign)}")
    columns = st.columns(5)
    columns[0].metric("Rows", f"{len(brief.rows):,}")
    columns[1].metric("Items", f"{outlook.items:,}")
    columns[2].metric("New images", f"{outlook.new:,}")
    columns[3].metric("Made before", f"{outlook.reused:,}", help="Images that exist are used again")
    columns[4].metric("References to prepare", f"{outlook.preparations:,}")
    st.markdown(f"Model **{visit.escaped(brief.card.name)}**: {visit.escaped(brief.card.title)}")
    for shape in brief.shapes:
        st.caption(f"{visit.escaped(shape.name)}: {visit.escaped(str(shape))}")
    if brief.card.notice:
        st.info(visit.escaped(brief.card.notice), icon=":material/info:")
    _draw_prospect(prospect)
    for warning in (*brief.warnings, *prospect.warnings):
        st.warning(visit.escaped(warning), icon=":material/warning:")
    for problem in prospect.refusals:
        st.error(visit.escaped(str(problem)), icon=":material/block:")
    if outlook.failed:
        st.warning(f"{outlook.failed:,} images failed before; **Retry** on the campaign's page tries them again.")
    with st.container(horizontal=True):
        label = f"Make {outlook.new:,} images" if outlook.new else "Start: every image exists"
        start = st.button(label, type="primary", icon=":material/play_arrow:", disabled=prospect.over is not None)
        keep = st.button("Keep the plan, start later", icon=":material/schedule:")
    if start or keep:
        _record(actor, here, plan, start=start)


def _draw_prospect(prospect: Prospect) -> None:
    """What it changes of what is recorded, and what it takes."""
    against = prospect.comparison
    if against.recorded:
        counts = Counter(one.what for one in against.items)
        st.markdown("Against what is recorded: " + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n))
        for cause in against.causes():
            row, change = cause.examples[0]
            st.caption(visit.escaped(f"{cause.items:,} items change: {change}, as in row {row}"))
    if lost := against.lost():
        st.warning(
            f"{lost:,} approved images would be replaced or no longer asked for.", icon=":material/warning:"
        )
    if prospect.estimate.images:
        st.markdown(f"Takes {visit.escaped(tell_estimate(prospect.estimate))}")


def _plan(actor: Actor, here: Office, file: Path) -> Prospect:
    brief = read_brief(file, here.settings, here.registry, within=bounds(here.settings, file))
    # A plan tells what is recorded under the name.
    actor.require(Right.STEER, brief.campaign)
    files = pin_files(brief.card, here.settings, recorded_files(here.database, brief.card.name))
    plan = make_plan(brief, here.settings, here.registry, files)
    with here.database.begin() as connection:
        return look_ahead(connection, plan, here.settings)


def _record(actor: Actor, here: Office, plan: Plan, *, start: bool) -> None:
    name = plan.brief.campaign
    try:
        actor.require(Right.STEER, name)
        campaigns.record(here.database, here.store, here.registry, plan, start=start, owner=actor.name)
        if start:
            wake_all(here.settings)
    except DreamlineError as error:
        visit.show_problems(error)
        return
    st.session_state.pop("new_example", None)
    visit.go("campaigns", campaign=name)
