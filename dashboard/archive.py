"""Dashboard: what is approved of a campaign, as an archive to download, for the channels that one chooses."""

from __future__ import annotations

import tempfile
import zipfile
from functools import partial
from pathlib import Path

import streamlit as st

from core.errors import DreamlineError
from dashboard import access, visit
from dashboard.office import office
from dashboard.queries import Overview
from orchestrator import campaigns
from orchestrator.delivering.delivery import LEFT_OUT, deliver_archive, record_delivery
from orchestrator.delivering.destinations import presets
from orchestrator.delivering.orders import Order, Wanted, read_order
from orchestrator.delivering.refusals import in_short
from orchestrator.delivering.rendering.signing import credential_of
from orchestrator.reviewing.people import Actor, Right

MOST = 300
"""Files in an archive that is made while a browser waits; beyond, the command writes them."""


def draw_download(actor: Actor, one: Overview) -> None:
    """Where to and a button, for whoever may steer the campaign, once something is approved."""
    approved = one.verdicts["approved"]
    if not approved or not actor.may(Right.STEER, one.name):
        return
    with st.popover(f"Deliver {approved:,} approved", icon=":material/outbox:"):
        to = st.multiselect(
            "To",
            list(presets()),
            format_func=lambda name: f"{name}, {'x'.join(map(str, presets()[name].size))}",
            placeholder="The pixels of their formats",
            help="Channels with their pixels and rules: each gets one file of each row, variant and seed. "
            "Headline, price and logo come from a delivery file (`dreamline deliver --file`).",
            key="deliver to",
        )
        files = approved
        if to:
            try:
                order = _read(one.name, tuple(to))
            except DreamlineError as error:
                visit.show_problems(error)
                return
            files = len(order.deliverables)
            for problem in in_short(order.refused):
                st.caption(f":material/warning: {visit.escaped(str(problem))}")
        _draw_button(actor.name, one.name, tuple(to), files)


def _draw_button(person: str, name: str, to: tuple[str, ...], files: int) -> None:
    st.download_button(
        f"Download {files:,} {'file' if files == 1 else 'files'}",
        partial(_archive, person, name, to),
        f"{name}.zip",
        "application/zip",
        help="Marked as made by a model, with a manifest of who approved what, and with left-out.txt where a "
        "channel did not take a picture."
        if files <= MOST
        else f"More than {MOST} are written by the command `dreamline deliver {name}`.",
        icon=":material/download:",
        on_click="ignore",
        disabled=not 0 < files <= MOST,
        key="download approved",
    )


def _read(name: str, to: tuple[str, ...]) -> Order:
    with office().database.begin() as connection:
        return read_order(connection, campaigns.find(connection, name).id, name, Wanted(to=to))


def _archive(person: str, name: str, to: tuple[str, ...]) -> bytes:
    """The archive's bytes; asks again whether this person may. Where nothing can be delivered it says why."""
    here = office()
    access.known(here, person).require(Right.STEER, name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delivery.zip"
        try:
            credential = credential_of(here.settings)
            with here.database.begin() as connection:
                found = campaigns.find(connection, name)
                order = read_order(connection, found.id, name, Wanted(to=to, credential=credential))
            done = deliver_archive(here.store, order, path, person, lambda done, total: None)
        except DreamlineError as error:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(LEFT_OUT, f"{error}\n")
        else:
            with here.database.begin() as connection:
                record_delivery(connection, found.id, order, done, "a download", person)
        return path.read_bytes()
