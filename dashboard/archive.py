"""Dashboard: what is approved of a campaign, as an archive to download."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import access
from dashboard.office import office
from dashboard.queries import Overview
from orchestrator import campaigns
from orchestrator.delivering.delivery import deliver_archive, record_delivery
from orchestrator.delivering.orders import Wanted, read_order
from orchestrator.delivering.rendering.signing import credential_of
from orchestrator.reviewing.people import Actor, Right

MOST = 300
"""Images in an archive that is made while a browser waits; beyond, the command writes them."""


def draw_download(actor: Actor, one: Overview) -> None:
    """A button, for whoever may steer the campaign, once something is approved."""
    approved = one.verdicts["approved"]
    if not approved or not actor.may(Right.STEER, one.name):
        return
    st.download_button(
        f"Download {approved:,} approved",
        partial(_archive, actor.name, one.name),
        f"{one.name}.zip",
        "application/zip",
        help="In the pixels of their formats, with a manifest of who approved what."
        if approved <= MOST
        else f"More than {MOST} are written by the command `dreamline deliver {one.name}`.",
        icon=":material/download:",
        on_click="ignore",
        disabled=approved > MOST,
        key="download approved",
    )


def _archive(person: str, name: str) -> bytes:
    """The archive's bytes; asks again whether this person may."""
    here = office()
    access.known(here, person).require(Right.STEER, name)
    credential = credential_of(here.settings)
    with here.database.begin() as connection:
        found = campaigns.find(connection, name)
        order = read_order(connection, found.id, name, Wanted(credential=credential))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{found.id}.zip"
        done = deliver_archive(here.store, order, path, person, lambda done, total: None)
        with here.database.begin() as connection:
            record_delivery(connection, found.id, order, done, "a download", person)
        return path.read_bytes()
