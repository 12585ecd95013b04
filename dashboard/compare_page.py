"""Dashboard: other tools' pictures beside ours, judged blind, with a table of who wins."""

from __future__ import annotations

import uuid

import streamlit as st

from core.errors import DreamlineError
from dashboard import queries, visit
from dashboard.office import office
from orchestrator.reviewing import rivals
from orchestrator.reviewing.people import Actor, Right
from orchestrator.reviewing.rivals import Pair, WinRate
from orchestrator.uploads import Uploaded, unzip


def draw() -> None:
    """One pair to judge, the table, and the way to bring pictures in."""
    actor = visit.arrive()
    st.title("Compare")
    with office().database.begin() as connection:
        names = [name for name in queries.read_names(connection) if actor.may(Right.SEE, name)]
    wanted = visit.chosen_campaign(actor, names)
    if wanted is None:
        st.info("There is no campaign to compare with yet.", icon=":material/balance:")
        return
    campaign = st.selectbox("Campaign", names, names.index(wanted), width=280)
    st.query_params["campaign"] = campaign
    with office().database.begin() as connection:
        rates = rivals.read_win_rates(connection, campaign)
        pairs = rivals.next_pairs(connection, campaign, actor.name, 2) if rates else []
    if pairs and actor.may(Right.DECIDE, campaign):
        _draw_pair(actor, campaign, pairs[0])
    elif rates:
        st.success("You have judged every pair of this campaign.", icon=":material/task_alt:")
    if rates:
        _draw_rates(rates)
    if actor.may(Right.STEER, campaign):
        _draw_bring_in(actor, campaign, first=not rates)
    elif not rates:
        st.info("A producer brings other tools' pictures in here.", icon=":material/balance:")


def _draw_pair(actor: Actor, campaign: str, pair: Pair) -> None:
    st.markdown("**Which one would you publish?** You don't see which is whose until the table below.")
    shown = rivals.as_values(pair)
    left, right, given = st.columns([2, 2, 1], gap="medium")
    for column, name in ((left, "left"), (right, "right")):
        url = visit.picture_url(actor, campaign, shown[name], "view")
        with column:
            st.html(
                f'<img src="{url}" alt="The {name} picture" style="width:100%;height:56vh;object-fit:contain;'
                'background:#8888881f;border-radius:8px">'
            )
    with given:
        st.caption(f"{visit.escaped(pair.row)}")
        visit.strip(actor, campaign, [(sha, "reference") for sha in pair.references[:3]], 120, captions=True)
    theirs: dict[str, rivals.Winner] = {"left": "ours" if pair.ours_first else "theirs", "neither": "neither"}
    theirs["right"] = "theirs" if pair.ours_first else "ours"
    with st.container(horizontal=True, horizontal_alignment="center"):
        for name, label, icon, shortcut in (
            ("left", "Left", ":material/west:", "Left"),
            ("neither", "No difference", ":material/drag_handle:", "Down"),
            ("right", "Right", ":material/east:", "Right"),
        ):
            st.button(
                label,
                icon=icon,
                key=f"judge {name}",
                shortcut=shortcut,
                on_click=_judge,
                args=(campaign, pair, theirs[name], uuid.uuid4()),
            )


def _judge(campaign: str, pair: Pair, winner: rivals.Winner, given: uuid.UUID) -> None:
    """Runs before the page does, by the rights of now and not of when the button was drawn."""
    try:
        rivals.judge(office().database, visit.who(), campaign, pair, winner, given)
    except DreamlineError as error:
        visit.show_problems(error)


def _draw_rates(rates: list[WinRate]) -> None:
    st.subheader("Win rate of ours")
    st.dataframe([_rate_row(one) for one in rates], hide_index=True)
    st.caption("A draw counts as half. Between: where the true rate lies with 95 % confidence (Wilson).")


def _rate_row(one: WinRate) -> dict[str, object]:
    low, high = one.bounds or (0.0, 0.0)
    return {
        "against": one.tool,
        "win rate": f"{one.rate:.0%}" if one.rate is not None else "-",
        "between": f"{low:.0%} and {high:.0%}" if one.judged else "-",
        "won": one.wins,
        "lost": one.losses,
        "no difference": one.draws,
        "pictures": one.pictures,
    }


def _draw_bring_in(actor: Actor, campaign: str, *, first: bool) -> None:
    with st.expander("Bring in another tool's pictures", expanded=first):
        st.caption(
            "Name each file after its row (`SKU.png`, `SKU-2.jpg`), or add a CSV with the columns `row` and "
            "`file`. A ZIP of a folder works too."
        )
        with st.form("bring in", border=False):
            tool = st.text_input("Tool", placeholder="its name, for the table alone")
            files = st.file_uploader(
                "Pictures", accept_multiple_files=True, type=["png", "jpg", "jpeg", "webp", "csv", "zip"]
            )
            wanted = st.form_submit_button("Bring in", type="primary")
        if not wanted:
            return
        try:
            given = unzip(Uploaded(one.name, one.getvalue()) for one in files or ())
            count = rivals.bring_in(office().database, office().store, actor, campaign, tool, given)
        except DreamlineError as error:
            visit.show_problems(error)
            return
        st.toast(f"{count} pictures of {tool} are in.")
        st.rerun()
