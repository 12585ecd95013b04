"""Dashboard: the review page: which images, in which order; the grid does the rest in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import access, queries, visit
from dashboard.office import office
from dashboard.questions import ORDERS, VERDICTS, Counts, Question, read_counts
from dashboard.review_grid import review_grid
from orchestrator.reviewing import reasons
from orchestrator.reviewing.people import Actor, Right

NOTHING = {
    "open": "Nothing is left to review here.\nChoose another filter above, or another campaign.",
    "making": "No second attempt is under way.",
}


def draw() -> None:
    """Filters with their counts, and the grid."""
    actor = visit.arrive()
    with office().database.begin() as connection:
        names = [name for name in queries.read_names(connection) if actor.may(Right.SEE, name)]
    campaign = visit.chosen_campaign(actor, names)
    if campaign is None:
        st.title("Review")
        st.info("There are no images to review yet.", icon=":material/rate_review:")
        return
    question = _draw_filters(campaign, names)
    review_grid(_data(actor, question), key=f"grid {campaign}", on_renew=lambda: None)


def _draw_filters(campaign: str, names: list[str]) -> Question:
    """The filters; each is part of the address, so that a view can be sent to somebody."""
    _take_from_address(campaign)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="filters"):
        campaign = st.selectbox("Campaign", names, key="f_campaign", width=240)
        before = _chosen(campaign)
        with office().database.begin() as connection:
            counts = read_counts(connection, before)
        _draw_choices(before, counts)
    question = _chosen(campaign)
    _put_into_address(question)
    return question


def _draw_choices(before: Question, counts: Counts) -> None:
    known = reasons.load()
    st.selectbox(
        "Status",
        list(VERDICTS),
        key="f_verdict",
        format_func=lambda name: f"{VERDICTS[name]} ({counts.verdicts.get(name, 0):,})",
        width=190,
    )
    st.selectbox(
        "Format",
        ["", *sorted({*counts.formats, *filter(None, [before.format])})],
        key="f_format",
        format_func=lambda name: f"{name} ({counts.formats.get(name, 0):,})" if name else "All",
        width=160,
    )
    st.selectbox(
        "Rejected for",
        ["", *(name for name in known if counts.reasons.get(name) or name == before.reason)],
        key="f_reason",
        format_func=lambda name: f"{known[name].title} ({counts.reasons.get(name, 0):,})" if name else "Any",
        width=160,
    )
    st.selectbox("Order", list(ORDERS), key="f_order", format_func=ORDERS.__getitem__, width=180)
    st.text_input("Search", key="f_search", placeholder="SKU, words of the row", width=190)


FILTERS: Mapping[str, str] = {"verdict": "open", "format": "", "reason": "", "order": "row", "search": ""}
"""Filters with what they are when the address says nothing."""


def _take_from_address(campaign: str) -> None:
    """Sets the filters from the address, on arrival and whenever it was changed by a link."""
    told = {name: st.query_params.get(name, usual) for name, usual in FILTERS.items()}
    told["verdict"] = told["verdict"] if told["verdict"] in VERDICTS else "open"
    told["order"] = told["order"] if told["order"] in ORDERS else "row"
    told["reason"] = told["reason"] if told["reason"] in reasons.load() else ""
    address = {"campaign": campaign, **told}
    if st.session_state.get("f_address") != address or "f_campaign" not in st.session_state:
        st.session_state["f_address"] = address
        for name, value in address.items():
            st.session_state[f"f_{name}"] = value


def _put_into_address(question: Question) -> None:
    address = {"campaign": question.campaign, **{name: getattr(question, name) for name in FILTERS}}
    st.session_state["f_address"] = address
    shown = {name: value for name, value in address.items() if value != FILTERS.get(name)}
    if st.query_params.to_dict() != shown:
        st.query_params.from_dict(shown)


def _chosen(campaign: str) -> Question:
    """The question that the filters ask now."""
    chosen: dict[str, Any] = {name: st.session_state.get(f"f_{name}") or usual for name, usual in FILTERS.items()}
    return Question(campaign=campaign, **chosen)


def _data(actor: Actor, question: Question) -> dict[str, Any]:
    here = office()
    rights = [right.value for right in Right if actor.may(right, question.campaign)]
    return {
        "campaign": question.campaign,
        "me": actor.name,
        "rights": rights,
        "token": access.mint(here, actor.name, "act"),
        "see": access.mint(here, actor.name, "see"),
        "question": {
            "verdict": question.verdict,
            "format": question.format,
            "reason": question.reason,
            "search": question.search,
            "order": question.order,
        },
        "reasons": [{"name": one.name, "title": one.title, "about": one.about} for one in reasons.load().values()],
        "empty": NOTHING.get(question.verdict, "No image is like that."),
    }
