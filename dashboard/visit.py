"""Dashboard: one visit to a page: who it is, where the other pages are, and the small parts that pages share."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import streamlit as st

from core.errors import BadInput, DreamlineError
from dashboard import access
from dashboard.office import office
from orchestrator.reviewing.people import Actor, Right

__all__ = ["Right"]

STYLE = """<style>
.block-container, [data-testid="stMainBlockContainer"] { padding: 4rem 2rem 1rem; }
[data-testid="stHeader"] { background: transparent; height: 2.8rem; }
.dl-strip { display: flex; gap: 6px; flex-wrap: wrap; }
.st-key-cards .dl-strip { flex-wrap: nowrap; overflow: hidden; }
[data-testid="stMain"] [data-testid="stPageLink-NavLink"] { background: transparent; border: 1px solid #8888884d;
  padding: .35rem .75rem; } [data-testid="stMain"] [data-testid="stPageLink-NavLink"] * { font-weight: 500; }
.dl-strip img { background: #8888881f; border-radius: 6px; object-fit: cover; display: block; }
.dl-strip figure { margin: 0; } .dl-strip figcaption { font-size: 12px; opacity: .8; max-width: 160px;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
[data-testid="stCaptionContainer"] { opacity: .82; }
.dl-large { width: 100%; max-height: 78vh; object-fit: contain; border-radius: 8px; background: #8888881f; }
.dl-link { color: var(--st-link-color, inherit); }
.dl-none { width: 64px; height: 64px; border-radius: 6px; background: #8888881f; }
@media (max-width: 900px) { [data-testid="stMainBlockContainer"] { padding: 4rem 1rem 1rem; } }
</style>"""


ICON = Path(__file__).parent / "icon.png"


def arrive() -> Actor:
    """The person in front of the page; draws a login, and nothing after it, for those we don't know."""
    here = office()
    try:
        if here.local or st.user.is_logged_in:
            return who()
    except DreamlineError as error:
        st.error(escaped(str(error)), icon=":material/lock:")
    st.title("dreamline")
    if here.local:
        st.write("End this program and start it with another name.")
    elif st.user.is_logged_in:
        st.button("Log out", on_click=st.logout)
    else:
        st.write("Log in to see campaigns and to review their images.")
        st.button("Log in", type="primary", on_click=st.login)
    return _end()


def who() -> Actor:
    """The person in front of the page with the rights of this moment, for what is done before a page is drawn.

    Raises:
        Unknown: nobody we know.
    """
    here = office()
    return access.known(here, here.local or access.address(st.user))


def _end() -> NoReturn:
    """Draws nothing more."""
    st.stop()
    raise AssertionError("st.stop ends the run")


def draw_person(actor: Actor) -> None:
    """Who is here, at the foot of the page; where people log in, with the way out."""
    if office().local and not office().member:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="person"):
        st.caption(f":material/person: {escaped(actor.name)} · {actor.role}")
        if not office().local:
            st.button("Log out", on_click=st.logout, type="tertiary")


def remember(pages: Mapping[str, Any]) -> None:
    """Keeps the pages of this run, so that they can lead to each other."""
    st.session_state["dreamline_pages"] = dict(pages)


def page(name: str) -> Any:
    """A page to link to, or None where this person has none of that name."""
    return st.session_state.get("dreamline_pages", {}).get(name)


def link(name: str, label: str, icon: str | None = None, *, wide: bool = False, **query: str) -> None:
    """A link to another page; `wide`: over all of the room that there is."""
    target = page(name)
    if target is not None:
        width: Literal["stretch", "content"] = "stretch" if wide else "content"
        st.page_link(target, label=label, icon=icon, width=width, query_params=query or None)


def go(name: str, **query: str) -> None:
    """Goes to another page."""
    target = page(name)
    if target is not None:
        st.switch_page(target, query_params=query or None)


def picture_url(actor: Actor, campaign: str, sha256: str, size: str = "thumb") -> str:
    """The address of a picture for this person."""
    from urllib.parse import quote

    token = access.mint(office(), actor.name, "see")
    return f"/img/{size}/{sha256}?c={quote(campaign, safe='')}&t={token}"


def strip(
    actor: Actor, campaign: str, pictures: Iterable[tuple[str, str]], side: int, captions: bool = False
) -> None:
    """A row of small pictures: pairs of sha256 and words for those who don't see it."""
    parts = []
    for sha256, words in pictures:
        said = html.escape(words, quote=True)
        below = f"<figcaption>{said}</figcaption>" if captions else ""
        parts.append(
            f'<figure><img src="{picture_url(actor, campaign, sha256)}" alt="{said}" '
            f'width="{side}" height="{side}">{below}</figure>'
        )
    st.html(f'<div class="dl-strip">{"".join(parts) or "<div class=dl-none></div>"}</div>')


def escaped(text: str) -> str:
    """Text of a person's for Streamlit's Markdown: shown as it was written."""
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in text)


_SPECIAL = frozenset("\\`*_{}[]()<>#+-.!|$~:&^=")


def show_problems(error: DreamlineError, folder: Path | None = None) -> None:
    """An error in place: every problem with where it stands and how to mend it; paths as seen from `folder`."""

    def near(told: str) -> str:
        return told if folder is None else told.replace(f"{folder}/", "").replace(str(folder), "the upload")

    if not isinstance(error, BadInput):
        st.error(escaped(str(error)), icon=":material/error:")
        return
    count = len(error.problems)
    st.error(f"{count} {'problem' if count == 1 else 'problems'}. Nothing was written.", icon=":material/error:")
    st.dataframe(
        [
            {
                "Where": near(one.where),
                "What is wrong": near(one.what),
                "How to mend it": near(one.mend),
            }
            for one in error.problems
        ],
        hide_index=True,
        row_height=40,
    )


def chosen_campaign(actor: Actor, names: list[str]) -> str | None:
    """The campaign of the address, if this person may see it; else the first of `names`."""
    wanted: str | None = st.query_params.get("campaign")
    if wanted in names:
        return wanted
    if wanted:
        st.warning(f"There is no campaign {escaped(wanted)} that you may see.", icon=":material/search_off:")
    return names[0] if names else None
